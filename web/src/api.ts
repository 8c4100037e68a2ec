/** The gateway over HTTP. */

import { CANDLES_MAX, type Interval } from "./candles";
import { type Credential, headersOf } from "./credential";
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
import { type ExchangeStatus, readStatus } from "./exchange";
import { type Predictor, readPredictors } from "./figures";
import { type CandleHistory, readCandles, readTickers, readTime } from "./messages";
import { type Order, readOrders } from "./orders";
import { ProblemError, readProblem } from "./problem";
import { type Body, judge, makeClientId, type Outcome, type Rules } from "./ticket";

const WAIT_MS_MAX = 10_000;
/** How long a command waits for the exchange's word. */
const VERDICT_WAIT_S = 2;
/** Looked through for those that ended last. */
const ORDERS_MAX = 50;

export async function fetchTickers(): Promise<Map<string, Rules>> {
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

/** @param jobId of a window of performance. */
export async function fetchPredictors(jobId: string): Promise<Predictor[]> {
  return readPredictors(await ask(`/drift/performance/${encodeURIComponent(jobId)}`));
}

export async function fetchActions(limit: number): Promise<Action[]> {
  return readActions(await ask(`/drift/actions?limit=${limit}`));
}

export async function fetchStatus(nowUs: number): Promise<ExchangeStatus> {
  return readStatus(await ask("/status"), nowUs);
}

/**
 * Whether the gateway lets this one in.
 *
 * A key that may not read, and an account of which nothing is known yet, are let in.
 *
 * @throws ProblemError it does not; any other error: it did not answer.
 */
export async function knock(credential: Credential): Promise<void> {
  try {
    await ask("/account", { headers: headersOf(credential) });
  } catch (error) {
    const reason = error instanceof ProblemError ? error.problem.reason : "";
    if (reason !== "SCOPE_REQUIRED" && reason !== "UNKNOWN_ACCOUNT") throw error;
  }
}

export async function fetchOrders(credential: Credential): Promise<Order[]> {
  return readOrders(await ask(`/orders?limit=${ORDERS_MAX}`, { headers: headersOf(credential) }));
}

/** Send an order, and wait a little for what becomes of it; never rejects. */
export async function placeOrder(credential: Credential, body: Body): Promise<Outcome> {
  const init = command(credential, body);
  try {
    const answer = await fetch("/orders", init);
    return judge(answer.status, await answer.json().catch(() => null));
  } catch (error) {
    return { kind: "unknown", cause: `no answer came (${(error as Error).message})` };
  }
}

/** @throws ProblemError it was refused; any other error: it is not known. */
export async function cancelOrder(credential: Credential, orderId: string): Promise<void> {
  const body = { client_command_id: makeClientId("page-cancel") };
  await ask(`/orders/${encodeURIComponent(orderId)}/cancel`, command(credential, body));
}

/** @throws as cancelOrder. */
export async function cancelAll(credential: Credential): Promise<void> {
  const body = { client_command_id: makeClientId("page-cancel-all") };
  await ask("/orders/cancel-all", command(credential, body));
}

function command(credential: Credential, body: object): RequestInit {
  return {
    method: "POST",
    headers: {
      ...headersOf(credential),
      "Content-Type": "application/json",
      Prefer: `wait=${VERDICT_WAIT_S}`,
    },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(WAIT_MS_MAX),
  };
}

async function ask(path: string, init: RequestInit = {}): Promise<unknown> {
  const answer = await fetch(path, { signal: AbortSignal.timeout(WAIT_MS_MAX), ...init });
  if (answer.ok) return answer.json();
  throw new ProblemError(readProblem(path, answer.status, await answer.json().catch(() => null)));
}
