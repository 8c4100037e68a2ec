/** What the gateway says, checked and with its prices as whole numbers. */

import { parsePrice } from "./amounts";
import { BadMessageError, type Json, list, nullOr, number, object, oneOf, string } from "./reading";
import type { Rules } from "./ticket";

export interface Level {
  price: number;
  quantity: number;
  orders: number;
}

export interface Book {
  status: string;
  lastPrice: number | null;
  bids: Level[];
  asks: Level[];
}

/** What to change in a book to have a later one. */
export interface BookChange {
  status: string;
  lastPrice: number | null;
  /** Levels as they are now; with quantity 0 one is not among the best any more. */
  bids: Level[];
  asks: Level[];
}

export interface Trade {
  /** Its number in the ticker, without gaps. */
  sequence: number;
  price: number;
  quantity: number;
  side: string;
  timeUs: number;
}

export interface Candle {
  openTimeUs: number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
  /** Trades of its interval came before the first that the gateway read: it lacks them. */
  isPartial: boolean;
}

export interface CandleHistory {
  /** Number of the last trade in them; null: there was none. */
  tradeSequence: number | null;
  candles: Candle[];
}

export const CLASSES = ["down", "flat", "up"] as const;

export type Class = (typeof CLASSES)[number];

export interface Prediction {
  model: string;
  version: number;
  isShadow: boolean;
  isDegraded: boolean;
  predicted: Class;
  probabilities: Record<Class, number>;
  /** Of the features it was made from. */
  gridTimeUs: number;
}

export const MARKET_CHANNELS = ["book", "trades", "predictions"] as const;
/** The caller's own, of all tickers. */
export const OWN_CHANNELS = ["executions", "positions"] as const;

export type MarketChannel = (typeof MARKET_CHANNELS)[number];
export type OwnChannel = (typeof OWN_CHANNELS)[number];

interface Head {
  type: "snapshot" | "update";
  sequence: number;
  /** Of a book's update: the sequence of the book that it changes; null: none is told. */
  previous: number | null;
  data: unknown;
}

export type Message =
  | (Head & { channel: MarketChannel; ticker: string })
  | (Head & { channel: OwnChannel })
  | { type: "authenticated"; account: string; scopes: string[] }
  | { type: "error"; reason: string; detail: string }
  | { type: "other" };

export function readMessage(text: string): Message {
  const said = object(parse(text));
  switch (said["type"]) {
    case "snapshot":
    case "update":
      return readUpdate(said, said["type"]);
    case "authenticated":
      return {
        type: "authenticated",
        account: string(said["account"]),
        scopes: list(said["scopes"], string),
      };
    case "error":
      return { type: "error", reason: string(said["reason"]), detail: string(said["detail"]) };
    default:
      return { type: "other" };
  }
}

function readUpdate(said: Json, type: Head["type"]): Message {
  const channel = oneOf(said["channel"], [...MARKET_CHANNELS, ...OWN_CHANNELS]);
  const head = {
    type,
    sequence: number(said["sequence"]),
    previous: said["previous"] === undefined ? null : number(said["previous"]),
    data: said["data"],
  };
  return channel === "executions" || channel === "positions"
    ? { ...head, channel }
    : { ...head, channel, ticker: string(said["ticker"]) };
}

export function readBook(data: unknown): Book {
  const book = object(data);
  return {
    status: book["status"] === null ? "" : string(book["status"]),
    lastPrice: book["last_price"] === null ? null : price(book["last_price"]),
    bids: list(book["bids"], readLevel),
    asks: list(book["asks"], readLevel),
  };
}

/** A change has the same members as a book. */
export function readBookChange(data: unknown): BookChange {
  return readBook(data);
}

export function readTrades(data: unknown): Trade[] {
  return list(object(data)["trades"], readTrade);
}

export function readTrade(data: unknown): Trade {
  const trade = object(data);
  return {
    sequence: number(trade["trade_sequence"]),
    price: price(trade["price"]),
    quantity: number(trade["quantity"]),
    side: trade["aggressor_side"] === null ? "" : string(trade["aggressor_side"]),
    timeUs: number(trade["traded_at_us"]),
  };
}

export function readPredictions(data: unknown): Prediction[] {
  return list(object(data)["predictions"], readPrediction);
}

export function readCandles(data: unknown): CandleHistory {
  const history = object(data);
  const sequence = history["trade_sequence"];
  return {
    tradeSequence: sequence === null ? null : number(sequence),
    candles: list(history["candles"], readCandle),
  };
}

/** The rules of each ticker, in the order of the list. */
export function readTickers(data: unknown): Map<string, Rules> {
  const lines = list(object(data)["tickers"], (item): [string, Rules] => {
    const line = object(item);
    return [
      string(line["ticker"]),
      {
        tick: nullOr(line["tick"], price),
        subDollarTick: nullOr(line["sub_dollar_tick"], price),
        lot: nullOr(line["lot"], number),
        quantityMax: nullOr(line["order_quantity_max"], number),
      },
    ];
  });
  return new Map(lines);
}

export function readTime(data: unknown): number {
  return number(object(data)["time_us"]);
}

function readLevel(data: unknown): Level {
  const level = object(data);
  return {
    price: price(level["price"]),
    quantity: number(level["quantity"]),
    orders: number(level["orders"]),
  };
}

function readCandle(data: unknown): Candle {
  const candle = object(data);
  return {
    openTimeUs: number(candle["open_time_us"]),
    open: price(candle["open"]),
    high: price(candle["high"]),
    low: price(candle["low"]),
    close: price(candle["close"]),
    volume: number(candle["volume"]),
    isPartial: candle["is_partial"] === true,
  };
}

function readPrediction(data: unknown): Prediction {
  const said = object(data);
  const probabilities = object(said["probabilities"]);
  return {
    model: string(said["model"]),
    version: number(said["model_version"]),
    isShadow: said["is_shadow"] === true,
    isDegraded: said["is_degraded"] === true,
    predicted: oneOf(said["predicted_class"], CLASSES),
    probabilities: {
      down: number(probabilities["down"]),
      flat: number(probabilities["flat"]),
      up: number(probabilities["up"]),
    },
    gridTimeUs: number(said["grid_time_us"]),
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new BadMessageError("not JSON");
  }
}

function price(value: unknown): number {
  const found = parsePrice(string(value));
  if (found === null) throw new BadMessageError("no price where one is due");
  return found;
}
