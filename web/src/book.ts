/** A ticker's book as changes make it: the gateway sends it whole once, then level by level. */

import type { Book, BookChange, Level } from "./messages";

/** @returns the book with what changed; the one given stays as it is. */
export function changeBook(book: Book, change: BookChange): Book {
  return {
    status: change.status,
    lastPrice: change.lastPrice,
    bids: changeLevels(book.bids, change.bids, (a, b) => b.price - a.price),
    asks: changeLevels(book.asks, change.asks, (a, b) => a.price - b.price),
  };
}

function changeLevels(
  levels: Level[],
  changed: Level[],
  best: (a: Level, b: Level) => number,
): Level[] {
  const byPrice = new Map(levels.map((level) => [level.price, level]));
  for (const level of changed) {
    if (level.quantity === 0) byPrice.delete(level.price);
    else byPrice.set(level.price, level);
  }
  return [...byPrice.values()].sort(best);
}
