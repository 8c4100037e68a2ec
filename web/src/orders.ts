/** The caller's own orders: the open ones, and the last few that ended. */

import { parsePrice } from "./amounts";
import { BadMessageError, list, nullOr, number, object, string } from "./reading";

export const ENDED_MAX = 10;

/** As the gateway's lists of live orders have them. */
const LIVE = ["PENDING_NEW", "NEW", "PARTIALLY_FILLED"];
/** A report about a command that became no order. */
const NO_ORDER = "NO_ORDER";

export interface Order {
  orderId: string;
  clientOrderId: string;
  ticker: string;
  status: string;
  side: string;
  type: string;
  /** Null: a market order. */
  price: number | null;
  quantity: number;
  filled: number;
  remaining: number;
  averagePrice: string | null;
  reason: string | null;
  /** Number of the report in the account; null: risk has not spoken yet. */
  sequence: number | null;
}

export function isLive(order: Order): boolean {
  return LIVE.includes(order.status);
}

export class OwnOrders {
  private readonly live = new Map<string, Order>();
  private readonly gone: Order[] = [];

  /** The open ones, the newest first. */
  get open(): Order[] {
    return [...this.live.values()].reverse();
  }

  /** The last few, the one that ended last first. */
  get ended(): readonly Order[] {
    return this.gone;
  }

  /** The gateway says what is open now: whatever was open and is not there has ended meanwhile. */
  begin(orders: readonly Order[]): void {
    this.live.clear();
    for (const order of orders) this.live.set(order.orderId, order);
  }

  /** Orders from a list, the newest first; it says only which ones ended. */
  recall(orders: readonly Order[]): void {
    for (const order of [...orders].reverse()) {
      if (!isLive(order) && !this.live.has(order.orderId)) this.end(order);
    }
  }

  /** One report; those of another order's number, or older than what is known, change nothing. */
  hear(order: Order): void {
    if (order.status === NO_ORDER) return;
    const known = this.find(order.orderId);
    if (known !== undefined && (known.sequence ?? -1) >= (order.sequence ?? -1)) return;
    if (isLive(order)) {
      this.live.set(order.orderId, order);
      return;
    }
    this.live.delete(order.orderId);
    this.end(order);
  }

  private find(orderId: string): Order | undefined {
    return this.live.get(orderId) ?? this.gone.find((order) => order.orderId === orderId);
  }

  private end(order: Order): void {
    const kept = this.gone.filter((other) => other.orderId !== order.orderId);
    kept.push(order);
    kept.sort((one, other) => (other.sequence ?? 0) - (one.sequence ?? 0));
    this.gone.splice(0, this.gone.length, ...kept.slice(0, ENDED_MAX));
  }
}

export function readOrder(data: unknown): Order {
  const said = object(data);
  return {
    orderId: string(said["order_id"]),
    clientOrderId: string(said["client_order_id"]),
    ticker: string(said["ticker"]),
    status: string(said["status"]),
    side: nullOr(said["side"], string) ?? "",
    type: nullOr(said["order_type"], string) ?? "",
    price: nullOr(said["price"], readPrice),
    quantity: number(said["quantity"]),
    filled: number(said["cumulative_quantity"]),
    remaining: number(said["remaining_quantity"]),
    averagePrice: nullOr(said["average_price"], string),
    reason: nullOr(said["reason"], string),
    sequence: nullOr(said["account_sequence"], number),
  };
}

/** Of a snapshot of executions, or of a page of the list. */
export function readOrders(data: unknown): Order[] {
  return list(object(data)["orders"], readOrder);
}

/** Of an update of executions; null: it is about the account and no order. */
export function readReport(data: unknown): Order | null {
  return object(data)["kind"] === "EXECUTION" ? readOrder(data) : null;
}

function readPrice(value: unknown): number {
  const found = parsePrice(string(value));
  if (found === null) throw new BadMessageError("no price where one is due");
  return found;
}
