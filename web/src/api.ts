/** The gateway over HTTP. */

import { CANDLES_MAX, type Interval } from "./candles";
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

async function ask(path: string): Promise<unknown> {
  const answer = await fetch(path, { signal: AbortSignal.timeout(WAIT_MS_MAX) });
  if (!answer.ok) throw new Error(`${path} was answered with ${answer.status}`);
  return answer.json();
}
