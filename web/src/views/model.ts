/** The model beside its market: what drift's jobs found, asked again now and then. */

import {
  fetchActions,
  fetchHistory,
  fetchPerformance,
  fetchPredictors,
  fetchVerdicts,
} from "../api";
import { backoffMs } from "../backoff";
import {
  type Action,
  formatRatio,
  formatTime,
  JOBS,
  levelPoints,
  type PerformanceWindow,
  ratioPoints,
  type Result,
  scorePoints,
  tellPerformance,
  versionMarks,
  words,
} from "../drift";
import { byId, fillChoice, make, row } from "./dom";
import { showFigures } from "./figures";
import { LinesView } from "./lines";
import { outcome, reportLink, showVerdicts } from "./verdicts";

const EVERY_MS = 30_000;
const WINDOWS_SHOWN = 200;
const LINES_A_PAGE = 50;
const LINES_MAX = 1_000;
const ACTIONS_SHOWN = 20;
const THRESHOLD = { value: 1, text: "alarm" };

export class ModelView {
  private readonly ratios = new LinesView("ratio-canvas", THRESHOLD, 1);
  private readonly scores = new LinesView("score-canvas", null, 3);
  private job = "data";
  private next: string | null = null;
  private shown = 0;
  private asked = 0;
  private failures = 0;
  private timer = 0;

  /** Call it when the view is seen: a chart takes the size of its place. */
  constructor(tickers: readonly string[]) {
    fillChoice(byId("jobs"), "job", JOBS, this.job, (job) => {
      this.job = job;
      void this.refresh();
    });
    fill(byId("of-job"), ["all jobs", ...JOBS]);
    this.know(tickers);
    for (const id of ["of-job", "of-ticker", "only-alarms"]) {
      byId(id).addEventListener("change", () => void this.refresh());
    }
    byId("older").addEventListener("click", () => void this.showOlder());
  }

  /** The tickers that can be chosen among. */
  know(tickers: readonly string[]): void {
    fill(byId("of-ticker"), ["all tickers", ...tickers]);
  }

  /** Ask for everything again, from now on each half minute, until `rest`. */
  async refresh(): Promise<void> {
    clearTimeout(this.timer);
    this.asked += 1;
    const mine = this.asked;
    const found = await this.ask().catch((error: unknown) => String((error as Error).message));
    if (mine !== this.asked) return;
    if (typeof found === "string") {
      this.failures += 1;
      this.tell("failed", found);
    } else {
      this.failures = 0;
      this.draw(found);
    }
    const waitMs = this.failures > 0 ? backoffMs(this.failures, Math.random()) : EVERY_MS;
    this.timer = setTimeout(() => void this.refresh(), waitMs);
  }

  /** Nobody looks: ask for nothing. */
  rest(): void {
    clearTimeout(this.timer);
    this.asked += 1;
  }

  private async ask() {
    const [verdicts, ratios, windows, history, actions] = await Promise.all([
      fetchVerdicts(),
      fetchHistory({ job: this.job, limit: String(WINDOWS_SHOWN) }),
      fetchPerformance(WINDOWS_SHOWN),
      fetchHistory(this.filters()),
      fetchActions(ACTIONS_SHOWN),
    ]);
    // The newest one that has figures: of a window without any there is nothing to compare.
    const newest = windows.find((window) => window.macroF1 !== null);
    const predictors = newest === undefined ? [] : await fetchPredictors(newest.jobId);
    return { verdicts, ratios: ratios.items, windows, newest, predictors, history, actions };
  }

  private draw(found: Awaited<ReturnType<ModelView["ask"]>>): void {
    if (found.verdicts.length === 0) {
      this.tell("empty", "Nothing has been judged yet");
      return;
    }
    this.tell("shown", "");
    showVerdicts(found.verdicts);
    this.drawRatios(found.ratios);
    this.drawScores(found.windows);
    showFigures(found.predictors);
    byId("figures-of").textContent =
      found.newest === undefined ? "" : `of the window to ${formatTime(found.newest.endUs)} UTC`;
    this.shown = 0;
    byId("history").replaceChildren();
    this.addLines(found.history.items, found.history.next);
    showActions(found.actions);
  }

  private drawRatios(results: readonly Result[]): void {
    this.ratios.show([{ points: ratioPoints(results), colour: "--accent", isDotted: false }]);
    const [newest] = results;
    byId("ratio").textContent =
      newest === undefined
        ? "no window yet"
        : `${formatRatio(newest.ratio)} at ${formatTime(newest.endUs)} UTC; above 1 is an alarm`;
  }

  private drawScores(windows: readonly PerformanceWindow[]): void {
    const promised = levelPoints(windows, (window) => window.promised);
    const baseline = levelPoints(windows, (window) => window.baseline?.macroF1 ?? null);
    this.scores.show(
      [
        { points: scorePoints(windows), colour: "--accent", isDotted: false },
        { points: promised, colour: "--soft", isDotted: true },
        { points: baseline, colour: "--amber", isDotted: true },
      ],
      versionMarks(windows),
    );
    byId("score").textContent = tellPerformance(windows);
    byId("versions").textContent = versionMarks(windows)
      .map(({ text, timeS }) => `${text} from ${formatTime(timeS * 1_000_000)}`)
      .join(", ");
  }

  private filters(): Record<string, string> {
    return {
      limit: String(LINES_A_PAGE),
      job: chosen("of-job"),
      ticker: chosen("of-ticker"),
      is_alarm: (byId("only-alarms") as HTMLInputElement).checked ? "true" : "",
    };
  }

  private async showOlder(): Promise<void> {
    const { next, asked } = this;
    if (next === null) return;
    const page = await fetchHistory({ ...this.filters(), cursor: next }).catch(
      (error: unknown) => String((error as Error).message),
    );
    if (asked !== this.asked || next !== this.next) return;
    if (typeof page === "string") this.tell("failed", page);
    else this.addLines(page.items, page.next);
  }

  private addLines(results: readonly Result[], next: string | null): void {
    this.shown += results.length;
    this.next = this.shown < LINES_MAX ? next : null;
    byId("history").append(...results.map(line));
    byId("no-history").hidden = this.shown > 0;
    byId("older").hidden = this.next === null;
  }

  private tell(state: "shown" | "empty" | "failed", text: string): void {
    byId("model").dataset["state"] = state;
    byId("model-state").hidden = state === "shown";
    const told = byId("model-told");
    if (told.textContent !== text) told.textContent = text;
    byId("model-hint").textContent =
      state === "empty"
        ? "Drift's jobs look at the model that serves, window by window: outcry drift run does" +
          " it once, and the room drift by itself (outcry status)."
        : "It is asked for again by itself.";
  }
}

function showActions(actions: readonly Action[]): void {
  byId("no-actions").hidden = actions.length > 0;
  byId("actions").replaceChildren(
    ...actions.map((action) =>
      row([
        ["soft", formatTime(action.begunAtUs)],
        ["", `${words(action.action)}, version ${action.version}`],
        ["", words(action.outcome ?? action.begun)],
        ["detail", action.detail],
      ]),
    ),
  );
}

function line(result: Result): HTMLElement {
  const element = row([
    ["soft", formatTime(result.endUs)],
    ["", words(result.job)],
    ["", `v${result.version}`],
  ]);
  const found = make("td");
  found.append(outcome(result));
  const report = make("td");
  report.append(reportLink(result));
  element.append(
    found,
    make("td", "number", formatRatio(result.ratio)),
    make("td", "detail", result.detail),
    report,
  );
  return element;
}

/** Options of a select; the first one chooses nothing. */
function fill(select: HTMLElement, options: readonly string[]): void {
  select.replaceChildren(
    ...options.map((option, place) => {
      const element = document.createElement("option");
      element.value = place === 0 ? "" : option;
      element.textContent = option;
      return element;
    }),
  );
}

function chosen(id: string): string {
  return (byId(id) as HTMLSelectElement).value;
}
