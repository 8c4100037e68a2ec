import { describe, expect, it } from "vitest";

import { formatPrice, parsePrice } from "../src/amounts";
import { backoffMs } from "../src/backoff";
import { CANDLES_MAX, CandleSeries } from "../src/candles";
import { formatAge, isStale, STALE_AFTER_US } from "../src/freshness";
import { Market, TRADES_MAX } from "../src/market";
import { readMessage, readPredictions, type Trade } from "../src/messages";
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
      { openTimeUs: 0, open: 5, high: 9, low: 5, close: 9, volume: 2 },
      { openTimeUs: 3_000_000, open: 2, high: 2, low: 2, close: 2, volume: 7 },
    ]);
  });

  it("count no trade twice and miss none", () => {
    const series = new CandleSeries("1m", { tradeSequence: 5, candles: [] });
    expect(series.fold([trade(4, 0), trade(5, 0), trade(6, 0)])).toBe(true);
    expect(series.candles[0]?.volume).toBe(1);
    expect(series.fold([trade(8, 0)])).toBe(false);
    expect(series.candles[0]?.volume).toBe(1);
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
