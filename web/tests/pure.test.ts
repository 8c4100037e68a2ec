import { describe, expect, it } from "vitest";

import { formatPrice, parsePrice } from "../src/amounts";
import { backoffMs } from "../src/backoff";
import { changeBook } from "../src/book";
import { CANDLES_MAX, CandleSeries, tellCandle } from "../src/candles";
import { formatAge, isStale, STALE_AFTER_US } from "../src/freshness";
import { Market, TRADES_MAX } from "../src/market";
import { readCandles, readMessage, readPredictions, type Trade } from "../src/messages";
import { BadMessageError } from "../src/reading";
import { Sequences } from "../src/sequences";

function trade(sequence: number, timeUs: number, price = 100, quantity = 1): Trade {
  return { sequence, price, quantity, side: "BUY", timeUs };
}

describe("prices", () => {
  it.each([
    ["187.25", 1_872_500],
    ["0.0001", 1],
    ["-3.5", -35_000],
    ["100000", 1_000_000_000],
    ["0.3", 3_000],
  ])("%s is read exactly", (text, price) => {
    expect(parsePrice(text)).toBe(price);
  });

  it.each(["", "1e3", "NaN", "1.00001", " 1", "1,5", "9".repeat(13)])("%j is none", (text) => {
    expect(parsePrice(text)).toBeNull();
  });

  it.each([1_872_500, 1, -35_000, 0, 12_345])("%i is spelled so that it is read back", (price) => {
    expect(parsePrice(formatPrice(price))).toBe(price);
  });
});

describe("candles", () => {
  const empty = { tradeSequence: null, candles: [] };

  it("grow by each trade, and an interval without one has none", () => {
    const series = new CandleSeries("1s", empty);
    const trades = [trade(1, 0, 5), trade(2, 999_999, 9), trade(3, 3_000_000, 2, 7)];
    expect(series.fold(trades)).toBe(true);
    expect(series.candles).toEqual([
      { openTimeUs: 0, open: 5, high: 9, low: 5, close: 9, volume: 2, isPartial: false },
      { openTimeUs: 3_000_000, open: 2, high: 2, low: 2, close: 2, volume: 7, isPartial: false },
    ]);
  });

  it("count no trade twice and miss none", () => {
    const series = new CandleSeries("1m", { tradeSequence: 5, candles: [] });
    expect(series.fold([trade(4, 0), trade(5, 0), trade(6, 0)])).toBe(true);
    expect(series.candles[0]?.volume).toBe(1);
    expect(series.fold([trade(8, 0)])).toBe(false);
    expect(series.candles[0]?.volume).toBe(1);
  });

  it("say that they lack trades, also once they have grown", () => {
    const [open, high, low, close] = ["1", "1", "1", "1"];
    const said = { open_time_us: 0, open, high, low, close, volume: 1, trades: 1 };
    const candles = [{ ...said, is_partial: true }];
    const history = readCandles({ trade_sequence: 7, candles });
    const series = new CandleSeries("1s", history);
    series.fold([trade(8, 500_000), trade(9, 1_500_000)]);
    expect(series.candles.map((candle) => candle.isPartial)).toEqual([true, false]);
    const [part, whole] = series.candles.map(tellCandle);
    expect(part).toContain("in part: earlier trades were not read");
    expect(whole).not.toContain("in part");
    expect(tellCandle(undefined)).toBe("no trade yet");
  });

  it("are bounded", () => {
    const series = new CandleSeries("1s", empty);
    for (let n = 1; n <= CANDLES_MAX + 5; n += 1) series.fold([trade(n, n * 1_000_000)]);
    expect(series.candles).toHaveLength(CANDLES_MAX);
    expect(series.candles.at(-1)?.openTimeUs).toBe((CANDLES_MAX + 5) * 1_000_000);
  });
});

describe("a market", () => {
  const said = (sequence: number) => ({
    trade_sequence: sequence,
    price: "1.00",
    quantity: 1,
    aggressor_side: "BUY",
    traded_at_us: sequence,
  });
  const snapshot = {
    type: "snapshot",
    channel: "trades",
    ticker: "AAPL",
    sequence: 0,
    previous: null,
    data: { trades: [said(1), said(2)] },
  } as const;
  const update = (sequence: number) =>
    ({ ...snapshot, type: "update", sequence, data: said(sequence) }) as const;

  it("joins candles to the trades that came while they were fetched", () => {
    const market = new Market("AAPL", "1s");
    expect(market.hear(snapshot)).toBe(true);
    expect(market.hear(update(3))).toBe(false);
    expect(market.take("1s", { tradeSequence: 1, candles: [] })).toBe(false);
    expect(market.series?.candles[0]?.volume).toBe(2);
  });

  it("asks again when candles and trades do not meet, and takes none of another interval", () => {
    const market = new Market("AAPL", "1s");
    market.hear({ ...snapshot, data: { trades: [said(9)] } });
    expect(market.take("1s", { tradeSequence: 3, candles: [] })).toBe(true);
    expect(market.take("1m", { tradeSequence: 8, candles: [] })).toBe(false);
    expect(market.series).toBeNull();
  });

  it("keeps so many trades", () => {
    const market = new Market("AAPL", "1s");
    for (let n = 1; n <= 5 * TRADES_MAX; n += 1) market.hear(update(n));
    expect(market.trades?.length).toBeLessThanOrEqual(2 * TRADES_MAX);
    expect(market.trades?.at(-1)?.sequence).toBe(5 * TRADES_MAX);
  });
});

describe("messages", () => {
  it.each(["", "[]", "{", '{"type": "update", "channel": "orders"}'])("%j is refused", (text) => {
    expect(() => readMessage(text)).toThrow(BadMessageError);
  });

  it("lets a heartbeat by", () => {
    expect(readMessage('{"type": "heartbeat", "time_us": 1}')).toEqual({ type: "other" });
  });

  it("refuses a prediction without a probability of each class", () => {
    const prediction = { model: "m", model_version: 1, predicted_class: "up", grid_time_us: 1 };
    const broken = { predictions: [{ ...prediction, probabilities: { up: 1, down: 0 } }] };
    expect(() => readPredictions(broken)).toThrow(BadMessageError);
  });
});

describe("a book", () => {
  const level = (price: number, quantity: number) => ({ price, quantity, orders: quantity && 1 });
  const before = {
    status: "OPEN",
    lastPrice: null,
    bids: [level(30, 5), level(20, 7)],
    asks: [level(40, 1), level(50, 2)],
  };

  it("is changed level by level, the best price first", () => {
    const change = {
      status: "HALTED",
      lastPrice: 35,
      bids: [level(20, 0), level(25, 9), level(35, 1)],
      asks: [level(50, 8)],
    };
    expect(changeBook(before, change)).toEqual({
      status: "HALTED",
      lastPrice: 35,
      bids: [level(35, 1), level(30, 5), level(25, 9)],
      asks: [level(40, 1), level(50, 8)],
    });
    expect(before.bids).toHaveLength(2);
  });

  it("comes whole and then as what changed", () => {
    const market = new Market("AAPL", "1s");
    const said = (bid: number) => ({
      status: "OPEN",
      last_price: null,
      bids: [{ price: "1.00", quantity: bid, orders: 1 }],
      asks: [],
    });
    const head = { channel: "book", ticker: "AAPL" } as const;
    market.hear({ ...head, type: "update", sequence: 8, previous: 7, data: said(1) });
    expect(market.book).toBeNull();
    market.hear({ ...head, type: "snapshot", sequence: 9, previous: null, data: said(2) });
    const update = { ...head, type: "update", previous: 9 } as const;
    market.hear({ ...update, sequence: 12, data: { ...said(3), last_price: "1.01" } });
    expect(market.book?.bids).toEqual([{ price: 10_000, quantity: 3, orders: 1 }]);
    expect(market.book?.lastPrice).toBe(10_100);
    market.hear({ ...update, sequence: 13, previous: 12, data: said(0) });
    expect(market.book?.bids).toEqual([]);
  });
});

describe("sequences", () => {
  it("tell the next from a gap and from what nobody listens to", () => {
    const sequences = new Sequences();
    expect(sequences.judge("book AAPL", 0)).toBe("stray");
    sequences.begin("book AAPL");
    expect(sequences.judge("book AAPL", 7)).toBe("stray");
    expect(sequences.judge("book AAPL", 0)).toBe("next");
    expect(sequences.judge("book AAPL", 1)).toBe("next");
    expect(sequences.judge("book AAPL", 3)).toBe("gap");
    expect(sequences.judge("book AAPL", 0)).toBe("next");
    sequences.end("book AAPL");
    expect(sequences.judge("book AAPL", 2)).toBe("stray");
  });

  it("of a book are those of the log, and an update must stand on the book that is there", () => {
    const sequences = new Sequences();
    expect(sequences.judgeBook("book AAPL", 0, null)).toBe("stray");
    sequences.begin("book AAPL");
    expect(sequences.judgeBook("book AAPL", 9, 7)).toBe("stray");
    expect(sequences.judgeBook("book AAPL", 0, null)).toBe("next");
    expect(sequences.judgeBook("book AAPL", 12, 0)).toBe("next");
    expect(sequences.judgeBook("book AAPL", 15, 13)).toBe("gap");
    expect(sequences.judgeBook("book AAPL", 20, null)).toBe("next");
    expect(sequences.judgeBook("book AAPL", 21, 20)).toBe("next");
  });
});

describe("ages and waits", () => {
  it.each([
    [400_000, "0.4 s"],
    [-5, "0.0 s"],
    [59_900_000, "59 s"],
    [600_000_000, "10 min"],
    [7_200_000_000, "2 h"],
    [864_000_000_000, "10 days"],
  ])("%i microseconds are %s", (ageUs, text) => {
    expect(formatAge(ageUs)).toBe(text);
  });

  it("are stale only past the limit", () => {
    expect(isStale(STALE_AFTER_US)).toBe(false);
    expect(isStale(STALE_AFTER_US + 1)).toBe(true);
  });

  it("grow to a limit and are spread by chance", () => {
    expect([1, 2, 3, 4, 5, 99].map((failures) => backoffMs(failures, 1))).toEqual([
      500, 1_000, 2_000, 4_000, 8_000, 10_000,
    ]);
    expect(backoffMs(1, 0)).toBe(250);
  });
});
