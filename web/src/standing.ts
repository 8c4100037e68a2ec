/** What the account holds, and how far that reaches into its three limits. */

import { formatQuantity, parsePrice } from "./amounts";
import { list, nullOr, number, object, string } from "./reading";

/** One limit; null: not known, or not said since what the gateway can read begins. */
export interface Gauge {
  used: number | null;
  max: number | null;
  /** For people: "1,200 of 5,000 used, 3,800 left". */
  text: string;
}

export interface Position {
  ticker: string;
  position: number;
  mark: string | null;
  shares: Gauge;
  money: Gauge;
}

export interface Standing {
  exposure: Gauge;
  positions: Position[];
}

/** From these shares of a limit on, a gauge warns, and then alarms. */
export const HIGH_SHARE = 0.8;
export const FULL_SHARE = 0.95;

export function readStanding(data: unknown): Standing {
  const said = object(data);
  return {
    exposure: readMoney(said["exposure"]),
    positions: list(said["positions"], readPosition),
  };
}

/** "1234567.5" as "$1,234,567.50" and "5.00" as "$5", without a float on the way. */
export function formatMoney(text: string): string {
  const [whole = "0", fraction = ""] = text.split(".");
  const isNegative = whole.startsWith("-");
  const grouped = whole.replace("-", "").replace(/\B(?=([0-9]{3})+$)/g, ",");
  const cents = /^0*$/.test(fraction) ? "" : `.${fraction.padEnd(2, "0")}`;
  return `${isNegative ? "-" : ""}$${grouped}${cents}`;
}

function readPosition(data: unknown): Position {
  const said = object(data);
  return {
    ticker: string(said["ticker"]),
    position: number(said["position"]),
    mark: nullOr(said["mark"], string),
    shares: readShares(said["shares"]),
    money: readMoney(said["money"]),
  };
}

function readShares(data: unknown): Gauge {
  const said = object(data);
  const shares = (name: string) => nullOr(said[name], number);
  const [used, max, left] = [shares("used"), shares("max"), shares("left")];
  const shown = (value: number | null) => (value === null ? null : formatQuantity(value));
  return { used, max, text: tell(shown(used), shown(max), shown(left)) };
}

function readMoney(data: unknown): Gauge {
  const said = object(data);
  const money = (name: string) => nullOr(said[name], string);
  const [used, max, left] = [money("used"), money("max"), money("left")];
  const shown = (value: string | null) => (value === null ? null : formatMoney(value));
  const parsed = (value: string | null) => (value === null ? null : parsePrice(value));
  return { used: parsed(used), max: parsed(max), text: tell(shown(used), shown(max), shown(left)) };
}

function tell(used: string | null, max: string | null, left: string | null): string {
  if (used === null) return "used: not known until the next report";
  if (max === null) return `${used} used, the limit is not known`;
  return left === null ? `${used} of ${max}` : `${used} of ${max} used, ${left} left`;
}
