import { formatPrice, formatQuantity } from "../amounts";
import type { Book, Level } from "../messages";
import { byId, row } from "./dom";

/** @param book null: not heard yet. */
export function showLadder(book: Book | null): void {
  const bids = book?.bids ?? [];
  const asks = book?.asks ?? [];
  const deepest = Math.max(1, ...[...bids, ...asks].map((level) => level.quantity));
  fill("bids", bids, deepest, (level) =>
    row([
      ["soft", String(level.orders)],
      ["", formatQuantity(level.quantity)],
      ["price up", formatPrice(level.price)],
    ]),
  );
  fill("asks", asks, deepest, (level) =>
    row([
      ["price down", formatPrice(level.price)],
      ["", formatQuantity(level.quantity)],
      ["soft", String(level.orders)],
    ]),
  );
  byId("spread").textContent = book === null ? "" : summary(book);
}

function fill(
  id: string,
  levels: readonly Level[],
  deepest: number,
  draw: (level: Level) => HTMLElement,
): void {
  const rows = levels.map((level) => {
    const line = draw(level);
    line.style.setProperty("--depth", `${(100 * level.quantity) / deepest}%`);
    return line;
  });
  byId(id).querySelector("tbody")?.replaceChildren(...rows);
}

function summary(book: Book): string {
  const [bid, ask] = [book.bids[0], book.asks[0]];
  const parts = [];
  if (book.status === "HALTED") parts.push("halted");
  if (book.lastPrice !== null) parts.push(`last ${formatPrice(book.lastPrice)}`);
  if (bid !== undefined && ask !== undefined) {
    parts.push(`spread ${formatPrice(ask.price - bid.price)}`);
  }
  return parts.join(", ");
}
