import { type Result, formatRatio, formatTime, toneOf, words } from "../drift";
import { byId, make } from "./dom";

const SIGNS = { good: "✓", bad: "!", unsure: "?" } as const;

/** What each kind of job said of its latest window. */
export function showVerdicts(verdicts: readonly Result[]): void {
  byId("verdicts").replaceChildren(...verdicts.map(card));
}

export function outcome(result: { outcome: string; isAlarm: boolean }): HTMLElement {
  const tone = toneOf(result);
  return make("span", `outcome ${tone}`, `${SIGNS[tone]} ${words(result.outcome)}`);
}

/** A link to the report, which opens in a tab of its own; nothing where there is none. */
export function reportLink(result: Result): HTMLElement | string {
  if (!result.hasReport) return "–";
  const link = document.createElement("a");
  link.href = `/drift/reports/${encodeURIComponent(result.jobId)}`;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  link.textContent = "Report";
  link.setAttribute("aria-label", `Report of ${result.job}, ${formatTime(result.endUs)}`);
  return link;
}

function card(result: Result): HTMLElement {
  const element = make("article", "verdict");
  const head = make("p", "head");
  head.append(make("strong", "", words(result.job)), outcome(result));
  const when = `${formatTime(result.beginUs)} to ${formatTime(result.endUs)} UTC`;
  const what = `${result.model}, version ${result.version}, ratio ${formatRatio(result.ratio)}`;
  element.append(head, make("p", "soft", when), make("p", "soft", what));
  if (result.detail !== "") element.append(make("p", "detail", result.detail));
  if (result.hasReport) element.append(reportLink(result));
  return element;
}
