/** Features that are older were too old for a service with the default policy, too. */
export const STALE_AFTER_US = 30_000_000;

const SECOND_US = 1_000_000;

export function isStale(ageUs: number): boolean {
  return ageUs > STALE_AFTER_US;
}

/** An age for people: "0.4 s", "12 s", "3 min", "5 h", "2 days". */
export function formatAge(ageUs: number): string {
  const seconds = Math.max(0, ageUs) / SECOND_US;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} days`;
}
