/** The gateway over HTTP. */

import { CANDLES_MAX, type Interval } from "./candles";
import {
  type Action,
  type Page,
  type PerformanceWindow,
  readActions,
  readHistory,
  readPerformance,
  readVerdicts,
  type Result,
} from "./drift";
import { type CandleHistory, readCandles, readTickers, readTime } from "./messages";

const WAIT_MS_MAX = 10_000;

export async function fetchTickers(): Promise<string[]> {
  return readTickers(await ask("/tickers"));
}

export async function fetchCandles(ticker: string, interval: Interval): Promise<CandleHistory> {
  const query = `interval=${interval}&limit=${CANDLES_MAX}`;
  return readCandles(await ask(`/candles/${encodeURIComponent(ticker)}?${query}`));
}

/** How far the gateway's clock is ahead of this one, in microseconds, to half the way there. */
export async function fetchClockOffsetUs(): Promise<number> {
  const askedMs = Date.now();
  const timeUs = readTime(await ask("/time"));
  return timeUs - ((askedMs + Date.now()) / 2) * 1_000;
}

export async function fetchVerdicts(): Promise<Result[]> {
  return readVerdicts(await ask("/drift/verdicts"));
}

/** @param filters of the path's own names; those that are empty are left out. */
export async function fetchHistory(filters: Record<string, string>): Promise<Page<Result>> {
  const given = Object.entries(filters).filter(([, value]) => value !== "");
  return readHistory(await ask(`/drift/history?${new URLSearchParams(given)}`));
}

export async function fetchPerformance(limit: number): Promise<PerformanceWindow[]> {
  return readPerformance(await ask(`/drift/performance?limit=${limit}`));
}

export async function fetchActions(limit: number): Promise<Action[]> {
  return readActions(await ask(`/drift/actions?limit=${limit}`));
}

async function ask(path: string): Promise<unknown> {
  const answer = await fetch(path, { signal: AbortSignal.timeout(WAIT_MS_MAX) });
  if (!answer.ok) throw new Error(await causeOf(path, answer));
  return answer.json();
}

/** What the problem document says, for people. */
async function causeOf(path: string, answer: Response): Promise<string> {
  const said: unknown = await answer.json().catch(() => null);
  if (typeof said === "object" && said !== null && "detail" in said) return String(said.detail);
  return `${path} was answered with ${answer.status}`;
}
