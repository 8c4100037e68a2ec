/** What is known of the ticker that is looked at, and what becomes of it with each message. */

import { changeBook } from "./book";
import { CandleSeries, type Interval } from "./candles";
import type { MarketUpdate } from "./connection";
import {
  type Book,
  type CandleHistory,
  type Prediction,
  readBook,
  readBookChange,
  readPredictions,
  readTrade,
  readTrades,
  type Trade,
} from "./messages";

/** Kept to be shown, and to be joined to candles that are still on their way. */
export const TRADES_MAX = 2_000;

export class Market {
  book: Book | null = null;
  predictions: Prediction[] | null = null;
  /** The latest trades, oldest first; null: not heard yet. */
  trades: Trade[] | null = null;
  series: CandleSeries | null = null;

  constructor(
    readonly ticker: string,
    public interval: Interval,
  ) {}

  /** @returns whether the candles must be fetched (again). */
  hear(update: MarketUpdate): boolean {
    switch (update.channel) {
      case "book":
        this.hearBook(update);
        return false;
      case "predictions":
        this.predictions = readPredictions(update.data);
        return false;
      case "trades":
        return update.type === "snapshot"
          ? this.begin(readTrades(update.data))
          : this.add(readTrade(update.data));
    }
  }

  /** @returns whether they must be fetched again: trades since then are missing. */
  take(interval: Interval, history: CandleHistory): boolean {
    if (interval !== this.interval || this.trades === null) return false;
    const series = new CandleSeries(interval, history);
    if (!series.fold(this.trades)) return true;
    this.series = series;
    return false;
  }

  choose(interval: Interval): void {
    this.interval = interval;
    this.series = null;
  }

  private hearBook(update: MarketUpdate): void {
    if (update.type === "snapshot") this.book = readBook(update.data);
    else if (this.book !== null) this.book = changeBook(this.book, readBookChange(update.data));
  }

  private begin(trades: Trade[]): boolean {
    this.trades = trades;
    return true;
  }

  private add(trade: Trade): boolean {
    this.trades ??= [];
    this.trades.push(trade);
    if (this.trades.length > 2 * TRADES_MAX) this.trades = this.trades.slice(-TRADES_MAX);
    return this.series !== null && !this.series.fold([trade]);
  }
}
