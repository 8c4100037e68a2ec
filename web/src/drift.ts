/** What drift's jobs found, as the gateway says it, and what is drawn of it. */

import { type Figure, formatFigure, readFigure } from "./figures";
import { list, nullOr, number, object, string } from "./reading";

const SECOND_US = 1_000_000;

export const JOBS = ["data", "predictions", "labels", "quality", "performance", "parity"] as const;

export interface Result {
  jobId: string;
  job: string;
  model: string;
  version: number;
  endUs: number;
  beginUs: number;
  outcome: string;
  isAlarm: boolean;
  /** Above 1 is an alarm; null: nothing was tested. */
  ratio: number | null;
  detail: string;
  hasReport: boolean;
}

export interface PerformanceWindow {
  jobId: string;
  version: number;
  endUs: number;
  outcome: string;
  isAlarm: boolean;
  macroF1: Figure | null;
  promised: number | null;
  baseline: { name: string; macroF1: number } | null;
}

export interface Action {
  action: string;
  jobId: string;
  version: number;
  begun: string;
  begunAtUs: number;
  outcome: string | null;
  detail: string;
}

export interface Page<T> {
  items: T[];
  /** Where the next page begins; null: there is none. */
  next: string | null;
}

/** Of one window on a chart; times are whole seconds, ascending, each once. */
export interface Point {
  timeS: number;
  value: number;
  low: number | null;
  high: number | null;
}

export interface Mark {
  timeS: number;
  text: string;
}

export type Tone = "good" | "bad" | "unsure";

export function readVerdicts(data: unknown): Result[] {
  return list(object(data)["verdicts"], readResult);
}

export function readHistory(data: unknown): Page<Result> {
  const page = object(data);
  return { items: list(page["results"], readResult), next: nullOr(page["next_cursor"], string) };
}

export function readPerformance(data: unknown): PerformanceWindow[] {
  return list(object(data)["windows"], readWindow);
}

export function readActions(data: unknown): Action[] {
  return list(object(data)["actions"], readAction);
}

/** One word alone is good: what could not be judged is never shown as if it were. */
export function toneOf(result: { outcome: string; isAlarm: boolean }): Tone {
  if (result.isAlarm) return "bad";
  return result.outcome === "ok" ? "good" : "unsure";
}

/** The ratio of each window that was tested; of two of one time the newer version's. */
export function ratioPoints(results: readonly Result[]): Point[] {
  return points(
    results.map(({ endUs, version, ratio }) => ({ endUs, version, value: ratio, low: null, high: null })),
  );
}

/** Macro-F1 of each window that has one, with its interval. */
export function scorePoints(windows: readonly PerformanceWindow[]): Point[] {
  return points(
    windows.map(({ endUs, version, macroF1 }) => ({
      endUs,
      version,
      value: macroF1?.value ?? null,
      low: macroF1?.low ?? null,
      high: macroF1?.high ?? null,
    })),
  );
}

/** Of what the model is held against. */
export function levelPoints(
  windows: readonly PerformanceWindow[],
  level: (window: PerformanceWindow) => number | null,
): Point[] {
  return points(
    windows.map((window) => {
      const { endUs, version } = window;
      return { endUs, version, value: level(window), low: null, high: null };
    }),
  );
}

/** Where a version begins to serve, the first one included. */
export function versionMarks(windows: readonly PerformanceWindow[]): Mark[] {
  const marks: Mark[] = [];
  let before: number | null = null;
  for (const { endUs, version } of ascending(windows)) {
    if (version !== before) marks.push({ timeS: endUs / SECOND_US, text: `v${version}` });
    before = version;
  }
  return marks;
}

/** What the chart of performance shows, in words. */
export function tellPerformance(windows: readonly PerformanceWindow[]): string {
  const newest = ascending(windows).at(-1);
  if (newest === undefined) return "no window yet";
  const { macroF1, promised, baseline } = newest;
  if (macroF1 === null) return `v${newest.version}: ${words(newest.outcome)}`;
  const held = promised === null ? "" : `, promised ${promised.toFixed(3)}`;
  const beside = baseline === null ? "" : `, ${baseline.name} ${baseline.macroF1.toFixed(3)}`;
  return `v${newest.version}: ${formatFigure(macroF1, 3)}${held}${beside}`;
}

/** "window_shorter_than_block" as people read it. */
export function words(name: string): string {
  return name.replaceAll("_", " ");
}

export function formatRatio(ratio: number | null): string {
  return ratio === null ? "–" : ratio.toFixed(2);
}

/** "09-21 14:00", of UTC. */
export function formatTime(timeUs: number): string {
  return new Date(timeUs / 1_000).toISOString().slice(5, 16).replace("T", " ");
}

interface Drawn {
  endUs: number;
  version: number;
  value: number | null;
  low: number | null;
  high: number | null;
}

function points(drawn: readonly Drawn[]): Point[] {
  const found: Point[] = [];
  for (const { endUs, value, low, high } of ascending(drawn)) {
    if (value === null) continue;
    const point = { timeS: Math.floor(endUs / SECOND_US), value, low, high };
    if (found.at(-1)?.timeS === point.timeS) found.pop();
    found.push(point);
  }
  return found;
}

function ascending<T extends { endUs: number; version: number }>(items: readonly T[]): T[] {
  return [...items].sort((one, other) => one.endUs - other.endUs || one.version - other.version);
}

function readResult(data: unknown): Result {
  const said = object(data);
  return {
    jobId: string(said["job_id"]),
    job: string(said["job"]),
    model: string(said["model"]),
    version: number(said["model_version"]),
    beginUs: number(said["window_begin_us"]),
    endUs: number(said["window_end_us"]),
    outcome: string(said["outcome"]),
    isAlarm: said["is_alarm"] === true,
    ratio: nullOr(said["ratio"], number),
    detail: string(said["detail"]),
    hasReport: said["has_report"] === true,
  };
}

function readWindow(data: unknown): PerformanceWindow {
  const said = object(data);
  return {
    jobId: string(said["job_id"]),
    version: number(said["model_version"]),
    endUs: number(said["window_end_us"]),
    outcome: string(said["outcome"]),
    isAlarm: said["is_alarm"] === true,
    macroF1: nullOr(said["macro_f1"], readFigure),
    promised: nullOr(said["promised"], number),
    baseline: nullOr(said["baseline"], (value) => {
      const best = object(value);
      return { name: string(best["name"]), macroF1: number(best["macro_f1"]) };
    }),
  };
}

function readAction(data: unknown): Action {
  const said = object(data);
  return {
    action: string(said["action"]),
    jobId: string(said["job_id"]),
    version: number(said["model_version"]),
    begun: string(said["begun"]),
    begunAtUs: number(said["begun_at_us"]),
    outcome: nullOr(said["outcome"], string),
    detail: string(said["detail"]),
  };
}
