/** An order on its way: what can be told of it before it is sent, and what its answer means. */

import { formatPrice, formatQuantity, parsePrice, PRICE_SCALE } from "./amounts";
import { type Order, readOrder } from "./orders";
import { readProblem, type Problem } from "./problem";
import { BadMessageError } from "./reading";

export const PRICE_MAX = 100_000 * PRICE_SCALE;
export const QUANTITY_MAX = 1_000_000_000;

/** The status of what the exchange, or the order's own shape, says of it; the same at each try. */
const VERDICT = 422;
const WHOLE = /^[0-9]{1,10}$/;

/** The exchange's own words for what is checked here too; a test holds them to it. */
export const TITLES = {
  INVALID_COMBINATION: "These options do not go together",
  INVALID_PRICE: "The price is not acceptable",
  OFF_TICK: "The price is between two ticks",
  INVALID_QUANTITY: "The quantity is not acceptable",
  OFF_LOT: "The quantity is no whole number of lots",
  ORDER_TOO_LARGE: "The order is larger than one may be",
} as const;

export type Reason = keyof typeof TITLES;
export type Field = "price" | "quantity" | "force";

/** As the form has it: texts. */
export interface Draft {
  ticker: string;
  side: string;
  type: string;
  price: string;
  quantity: string;
  force: string;
  isPostOnly: boolean;
  selfTrade: string;
}

/** What the genesis fixed for a ticker; null: the gateway has not read it yet. */
export interface Rules {
  tick: number | null;
  subDollarTick: number | null;
  lot: number | null;
  quantityMax: number | null;
}

export type Faults = Partial<Record<Field, string>>;

/** The body of POST /orders. */
export type Body = Record<string, string | number | boolean>;

/** Everything that risk is sure to refuse; what depends on the market is left to it. */
export function findFaults(draft: Draft, rules: Rules): Faults {
  const faults: Faults = {};
  const price = draft.type === "LIMIT" ? priceFault(draft.price.trim(), rules) : null;
  const quantity = quantityFault(draft.quantity.trim(), rules);
  if (price !== null) faults.price = price;
  if (quantity !== null) faults.quantity = quantity;
  if (draft.isPostOnly && (draft.type === "MARKET" || draft.force !== "GTC")) {
    faults.force = fault("INVALID_COMBINATION", "post only goes with a limit order, GTC");
  }
  return faults;
}

/** @param clientOrderId the same for each try of one order. */
export function bodyOf(draft: Draft, clientOrderId: string): Body {
  const isLimit = draft.type === "LIMIT";
  const body: Body = {
    client_order_id: clientOrderId,
    ticker: draft.ticker,
    side: draft.side,
    order_type: draft.type,
    time_in_force: isLimit ? draft.force : "IOC",
    post_only: draft.isPostOnly,
    quantity: Number(draft.quantity.trim()),
    self_trade_prevention: draft.selfTrade,
  };
  if (isLimit) body["price"] = draft.price.trim();
  return body;
}

export type Outcome =
  | { kind: "placed"; order: Order }
  /** Durable, and the exchange has not spoken within the wait. */
  | { kind: "taken" }
  /** It did nothing. */
  | { kind: "refused"; problem: Problem }
  /** It may have been written: only the same id may be sent again. */
  | { kind: "unknown"; cause: string };

/** What an answer says of the order; what is not certain is unknown, never a refusal. */
export function judge(status: number, body: unknown): Outcome {
  if (status === 202) return { kind: "taken" };
  if (status === 201 || status === 200) {
    try {
      return { kind: "placed", order: readOrder(body) };
    } catch (error) {
      if (!(error instanceof BadMessageError)) throw error;
      return { kind: "unknown", cause: "the answer could not be read" };
    }
  }
  const problem = readProblem("POST /orders", status, body);
  const isCertain = problem.reason !== "" && status !== 504 && status !== 500;
  if (isCertain) return { kind: "refused", problem };
  const cause = problem.reason === "" ? problem.detail : `${problem.reason}: ${problem.detail}`;
  return { kind: "unknown", cause };
}

/**
 * Whether a refusal decides the order.
 *
 * @param isDoubtful whether an earlier try of it may have been written: then only what the exchange
 *   itself says of the order does, and not that this try did not get so far.
 */
export function isSettledBy(problem: Problem, isDoubtful: boolean): boolean {
  return !isDoubtful || problem.status === VERDICT;
}

/** An order in one line: "BUY 100 AAPL at 187.25: PARTIALLY_FILLED, 40 filled at 187.250000". */
export function tellOrder(order: Order): string {
  const at = order.price === null ? "at market" : `at ${formatPrice(order.price)}`;
  const what = `${order.side} ${formatQuantity(order.quantity)} ${order.ticker} ${at}`;
  const average = order.averagePrice === null ? "" : ` at ${order.averagePrice}`;
  const filled = order.filled === 0 ? "" : `, ${formatQuantity(order.filled)} filled${average}`;
  const reason = order.reason === null ? "" : `, ${order.reason}`;
  return `${what}: ${order.status}${filled}${reason}`;
}

/** Printable and unique enough for one account. */
export function makeClientId(prefix: string): string {
  return `${prefix}-${crypto.randomUUID()}`;
}

function priceFault(text: string, rules: Rules): string | null {
  if (text === "") return fault("INVALID_PRICE", "a limit order needs one");
  const price = parsePrice(text);
  if (price === null) return fault("INVALID_PRICE", "write it as 187.25, with at most 4 places");
  if (price <= 0 || price > PRICE_MAX) {
    return fault("INVALID_PRICE", `above 0 and at most ${formatPrice(PRICE_MAX)}`);
  }
  const tick = price >= PRICE_SCALE ? rules.tick : rules.subDollarTick;
  if (tick !== null && price % tick !== 0) {
    return fault("OFF_TICK", `the tick is ${formatPrice(tick)}`);
  }
  return null;
}

function quantityFault(text: string, rules: Rules): string | null {
  const quantity = Number(text);
  if (!WHOLE.test(text) || quantity < 1 || quantity > QUANTITY_MAX) {
    return fault("INVALID_QUANTITY", "whole shares, at least 1");
  }
  if (rules.lot !== null && quantity % rules.lot !== 0) {
    return fault("OFF_LOT", `the lot is ${rules.lot}`);
  }
  if (rules.quantityMax !== null && quantity > rules.quantityMax) {
    return fault("ORDER_TOO_LARGE", `at most ${formatQuantity(rules.quantityMax)}`);
  }
  return null;
}

function fault(reason: Reason, hint: string): string {
  return `${reason}: ${TITLES[reason]} (${hint})`;
}
