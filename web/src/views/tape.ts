import { formatPrice, formatQuantity } from "../amounts";
import type { Trade } from "../messages";
import { byId, row } from "./dom";

const LINES_MAX = 60;

/** The latest trades, newest first. */
export function showTape(trades: readonly Trade[]): void {
  const newest = trades.slice(-LINES_MAX).reverse();
  byId("trades").replaceChildren(...newest.map(line));
}

function line(trade: Trade): HTMLElement {
  const isBuy = trade.side === "BUY";
  return row([
    ["soft", new Date(trade.timeUs / 1_000).toISOString().slice(11, 19)],
    [`price ${isBuy ? "up" : "down"}`, `${isBuy ? "▲" : "▼"} ${formatPrice(trade.price)}`],
    ["", formatQuantity(trade.quantity)],
  ]);
}
