/** Values of JSON that must be what is due. */

/** The gateway said what this page does not know. */
export class BadMessageError extends Error {}

export type Json = Record<string, unknown>;

export function object(value: unknown): Json {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  throw new BadMessageError("no object where one is due");
}

export function list<T>(value: unknown, read: (item: unknown) => T): T[] {
  if (Array.isArray(value)) return value.map(read);
  throw new BadMessageError("no list where one is due");
}

export function string(value: unknown): string {
  if (typeof value === "string") return value;
  throw new BadMessageError("no text where one is due");
}

export function number(value: unknown): number {
  if (typeof value === "number") return value;
  throw new BadMessageError("no number where one is due");
}

export function oneOf<T extends string>(value: unknown, known: readonly T[]): T {
  const found = known.find((word) => word === value);
  if (found === undefined) throw new BadMessageError(`none of ${known.join(", ")}`);
  return found;
}

export function nullOr<T>(value: unknown, read: (value: unknown) => T): T | null {
  return value === null ? null : read(value);
}
