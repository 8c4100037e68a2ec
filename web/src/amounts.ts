/** Prices as whole numbers of 1/10000 dollar, and their decimal spelling at the edges. */

export const PRICE_SCALE = 10_000;

const DECIMAL = /^-?[0-9]{1,12}(\.[0-9]{1,4})?$/;

/** A decimal string of dollars ("187.25") in 1/10000 dollar, exactly; null: it is none. */
export function parsePrice(text: string): number | null {
  if (!DECIMAL.test(text)) return null;
  const sign = text.startsWith("-") ? -1 : 1;
  const [whole = "", fraction = ""] = text.replace("-", "").split(".");
  const price = sign * (Number(whole) * PRICE_SCALE + Number(fraction.padEnd(4, "0")));
  return Number.isSafeInteger(price) ? price : null;
}

/** In dollars with 2 places, or 4 where the price needs them. */
export function formatPrice(price: number): string {
  const sign = price < 0 ? "-" : "";
  const value = Math.abs(price);
  const fraction = value % PRICE_SCALE;
  const digits = String(fraction).padStart(4, "0");
  const shown = digits.endsWith("00") ? digits.slice(0, 2) : digits;
  return `${sign}${(value - fraction) / PRICE_SCALE}.${shown}`;
}

export function formatQuantity(quantity: number): string {
  return quantity.toLocaleString("en-US");
}
