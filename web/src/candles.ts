/** Candles as the gateway folds them: by log time, and none for an interval without a trade. */

import { formatPrice, formatQuantity } from "./amounts";
import type { Candle, CandleHistory, Trade } from "./messages";

const SECOND_US = 1_000_000;

/** Lengths of the intervals in microseconds, by name. */
export const INTERVALS_US = {
  "1s": SECOND_US,
  "1m": 60 * SECOND_US,
  "1d": 86_400 * SECOND_US,
} as const;

export type Interval = keyof typeof INTERVALS_US;

export const CANDLES_MAX = 1_000;

/** The candles of one ticker and interval, growing with each trade. */
export class CandleSeries {
  readonly candles: Candle[];
  private sequence: number;

  constructor(
    readonly interval: Interval,
    history: CandleHistory,
  ) {
    this.candles = [...history.candles];
    this.sequence = history.tradeSequence ?? 0;
  }

  /**
   * Fold trades, in their order; those that are in the candles already are passed over.
   *
   * @returns false: one between the candles and these trades is missing, and nothing was folded.
   */
  fold(trades: readonly Trade[]): boolean {
    const news = trades.filter((trade) => trade.sequence > this.sequence);
    if (news.some((trade, place) => trade.sequence !== this.sequence + 1 + place)) return false;
    for (const trade of news) this.note(trade);
    return true;
  }

  private note(trade: Trade): void {
    this.sequence = trade.sequence;
    const openTimeUs = trade.timeUs - (trade.timeUs % INTERVALS_US[this.interval]);
    const last = this.candles.at(-1);
    if (last !== undefined && last.openTimeUs === openTimeUs) {
      last.high = Math.max(last.high, trade.price);
      last.low = Math.min(last.low, trade.price);
      last.close = trade.price;
      last.volume += trade.quantity;
      return;
    }
    const price = trade.price;
    this.candles.push({
      openTimeUs,
      open: price,
      high: price,
      low: price,
      close: price,
      volume: trade.quantity,
      isPartial: false,
    });
    if (this.candles.length > CANDLES_MAX) this.candles.shift();
  }
}

/** A candle in words, and whether it is a whole one. */
export function tellCandle(candle: Candle | undefined): string {
  if (candle === undefined) return "no trade yet";
  return (
    `O ${formatPrice(candle.open)}  H ${formatPrice(candle.high)}` +
    `  L ${formatPrice(candle.low)}  C ${formatPrice(candle.close)}` +
    `  V ${formatQuantity(candle.volume)}` +
    (candle.isPartial ? "  in part: earlier trades were not read" : "")
  );
}
