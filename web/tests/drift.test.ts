import { describe, expect, it } from "vitest";

import {
  formatRatio,
  formatTime,
  levelPoints,
  type PerformanceWindow,
  ratioPoints,
  readHistory,
  readPerformance,
  readVerdicts,
  type Result,
  scorePoints,
  tellPerformance,
  toneOf,
  versionMarks,
  words,
} from "../src/drift";
import { formatFigure, formatPredictor, readPredictors } from "../src/figures";
import { BadMessageError } from "../src/reading";

const SECOND_US = 1_000_000;

function said(endS: number, changes: object = {}) {
  return {
    job_id: "a".repeat(64),
    job: "data",
    model: "direction_10s",
    model_version: 3,
    window_begin_us: 0,
    window_end_us: endS * SECOND_US,
    outcome: "ok",
    is_alarm: false,
    ratio: 0.5,
    detail: "",
    has_report: true,
    ...changes,
  };
}

function results(...items: object[]): Result[] {
  return readVerdicts({ verdicts: items });
}

function windows(...items: object[]): PerformanceWindow[] {
  return readPerformance({ windows: items, next_cursor: null });
}

function judged(endS: number, version: number, value: number | null, changes: object = {}) {
  return {
    ...said(endS, { model_version: version }),
    macro_f1: value === null ? null : { value, low: value - 0.1, high: value + 0.1 },
    promised: 0.4,
    baseline: { name: "last_move", macro_f1: 0.3 },
    ...changes,
  };
}

describe("an outcome", () => {
  it.each([
    ["ok", false, "good"],
    ["drift", true, "bad"],
    ["ok", true, "bad"],
    ["log_cut", false, "unsure"],
    ["", false, "unsure"],
    ["a_word_of_tomorrow", false, "unsure"],
  ])("%j, alarm %j, is %s: one word alone is good", (outcome, isAlarm, tone) => {
    expect(toneOf({ outcome, isAlarm })).toBe(tone);
  });
});

describe("ratios", () => {
  it("are drawn oldest first, and windows that were not tested are left out", () => {
    const found = ratioPoints(results(said(30), said(20, { ratio: null }), said(10, { ratio: 2 })));
    expect(found.map(({ timeS, value }) => [timeS, value])).toEqual([
      [10, 2],
      [30, 0.5],
    ]);
  });

  it("have one point a time: that of the newer version", () => {
    const newer = said(10, { model_version: 4, ratio: 0.7 });
    const older = said(10, { ratio: 0.1 });
    for (const both of [results(newer, older), results(older, newer)]) {
      expect(ratioPoints(both).map(({ value }) => value)).toEqual([0.7]);
    }
  });
});

describe("performance", () => {
  it("has an interval where there is one", () => {
    const short = judged(20, 3, 0.5, { macro_f1: { value: 0.5, low: null, high: null } });
    expect(scorePoints(windows(short, judged(10, 3, 0.25), judged(30, 3, null)))).toEqual([
      { timeS: 10, value: 0.25, low: 0.15, high: 0.35 },
      { timeS: 20, value: 0.5, low: null, high: null },
    ]);
  });

  it("marks where a version begins, and one that comes back", () => {
    const served = [3, 3, 4, 4, 3].map((version, place) => judged(place, version, 0.4)).reverse();
    expect(versionMarks(windows(...served))).toEqual([
      { timeS: 0, text: "v3" },
      { timeS: 2, text: "v4" },
      { timeS: 4, text: "v3" },
    ]);
  });

  it("draws what it is held against where it was", () => {
    const held = windows(judged(1, 3, 0.4), judged(2, 3, 0.4, { promised: null, baseline: null }));
    expect(levelPoints(held, (window) => window.promised)).toHaveLength(1);
    expect(levelPoints(held, (window) => window.baseline?.macroF1 ?? null)).toHaveLength(1);
  });

  it("is told in words by its newest window", () => {
    expect(tellPerformance([])).toBe("no window yet");
    expect(tellPerformance(windows(judged(2, 4, 0.41), judged(1, 3, 0.3)))).toBe(
      "v4: 0.410 [0.310, 0.510], promised 0.400, last_move 0.300",
    );
    expect(tellPerformance(windows(judged(1, 3, null, { outcome: "no_labels" })))).toBe(
      "v3: no labels",
    );
  });
});

describe("figures", () => {
  const champion = {
    role: "champion",
    name: "v4",
    rows: 17_900,
    macro_f1: { value: 0.41, low: 0.389, high: 0.429 },
    mcc: { value: 0.1, low: null, high: null },
    log_loss: null,
    calibration_error: null,
    pnl_per_row: { value: 1.25, low: -2, high: 3 },
  };

  it("have an interval where there is one, and are absent where none is stated", () => {
    const [read] = readPredictors({ predictors: [champion] });
    expect(formatFigure(read!.macroF1, 3)).toBe("0.410 [0.389, 0.429]");
    expect(formatFigure(read!.mcc, 3)).toBe("0.100");
    expect(formatFigure(read!.logLoss, 3)).toBe("–");
    expect(formatFigure(read!.pnlPerRow, 1)).toBe("1.3 [-2.0, 3.0]");
  });

  it("are of somebody", () => {
    const names = [champion, { ...champion, role: "baseline", name: "last_move" }].map(
      (one) => readPredictors({ predictors: [one] })[0]!,
    );
    expect(names.map(formatPredictor)).toEqual(["v4, champion", "last move"]);
  });

  it.each([{ rows: null }, { role: 1 }, { mcc: {} }, { macro_f1: 0.4 }])(
    "are refused with %j",
    (broken) => {
      expect(() => readPredictors({ predictors: [{ ...champion, ...broken }] })).toThrow(
        BadMessageError,
      );
    },
  );
});

describe("what the gateway says of drift", () => {
  it("comes in pages", () => {
    const page = readHistory({ results: [said(1)], next_cursor: "1-a" });
    expect([page.items.length, page.next]).toEqual([1, "1-a"]);
    expect(readHistory({ results: [], next_cursor: null }).next).toBeNull();
  });

  it.each([{ outcome: null }, { ratio: "0.5" }, { window_end_us: null }, { model_version: "3" }])(
    "is refused with %j",
    (broken) => {
      expect(() => results(said(1, broken))).toThrow(BadMessageError);
    },
  );
});

describe("words and numbers", () => {
  it("are those of people", () => {
    expect(words("window_shorter_than_block")).toBe("window shorter than block");
    expect([formatRatio(null), formatRatio(1.005)]).toEqual(["–", "1.00"]);
    expect(formatTime(1_790_000_000 * SECOND_US)).toBe("09-21 14:13");
  });
});
