/** Wires the page: one connection, one market looked at, and views drawn once a frame. */

import { fetchCandles, fetchClockOffsetUs, fetchTickers } from "./api";
import { backoffMs } from "./backoff";
import { type Interval, INTERVALS_US } from "./candles";
import { Connection, type State } from "./connection";
import { Market } from "./market";
import type { Rules } from "./ticket";
import { Trader } from "./trader";
import { ChartView } from "./views/chart";
import { byId, fillChoice } from "./views/dom";
import { showLadder } from "./views/ladder";
import { ModelView } from "./views/model";
import { PredictionsView } from "./views/predictions";
import { showStatus } from "./views/status";
import { SystemView } from "./views/system";
import { showTape } from "./views/tape";

const TICK_MS = 100;
const FIRST_INTERVAL: Interval = "1s";
/** Each view by what names it in the address, so that it can be linked to. */
const VIEWS = { Market: "", Model: "#model", System: "#system" } as const;
type View = keyof typeof VIEWS;

class Page {
  private readonly chart = new ChartView();
  private readonly predictions = new PredictionsView();
  private readonly connection: Connection;
  private readonly trader: Trader;
  private readonly system = new SystemView(() => this.nowUs());
  private model: ModelView | null = null;
  private rules = new Map<string, Rules>();
  private market = new Market("", FIRST_INTERVAL);
  private state: State = { kind: "connecting" };
  private clockOffsetUs = 0;
  private fetches = 0;
  private isDue = false;

  constructor() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.connection = new Connection(`${scheme}://${location.host}/ws`, {
      heard: (update) => {
        if (update.ticker !== this.market.ticker) return;
        if (this.market.hear(update)) void this.refreshCandles();
        this.drawSoon();
      },
      heardOwn: (update) => this.trader.hear(update),
      entered: (identity) => this.trader.enter(identity),
      refused: (cause) => this.trader.leave(cause),
      changed: (state) => {
        this.state = state;
        if (state.kind === "live") void this.readClock();
        showStatus(state);
      },
    });
    this.trader = new Trader((credential) => this.connection.be(credential));
    setInterval(() => {
      this.predictions.tick(this.nowUs());
      showStatus(this.state);
    }, TICK_MS);
  }

  /** Begin, once there is a ticker to look at; the model is shown before. */
  async start(): Promise<void> {
    addEventListener("hashchange", () => this.turn());
    this.turn();
    this.rules = await this.persist(fetchTickers, (found) => found.size > 0);
    const tickers = [...this.rules.keys()];
    this.model?.know(tickers);
    const [first = ""] = tickers;
    fillChoice(byId("tickers"), "ticker", tickers, first, (ticker) => this.look(ticker));
    fillChoice(
      byId("intervals"),
      "interval",
      Object.keys(INTERVALS_US),
      FIRST_INTERVAL,
      (interval) => {
        this.market.choose(interval as Interval);
        void this.refreshCandles();
        this.drawSoon();
      },
    );
    this.look(first);
    this.trader.resume();
  }

  /** Show the view that the address names. */
  private turn(): void {
    const names = Object.keys(VIEWS) as View[];
    const shown = names.find((name) => VIEWS[name] === location.hash) ?? "Market";
    fillChoice(byId("views"), "view", names, shown, (view) => {
      location.hash = VIEWS[view as View];
    });
    for (const name of names) byId(name.toLowerCase()).hidden = name !== shown;
    byId("tickers").hidden = shown !== "Market";
    if (shown === "Model") {
      this.model ??= new ModelView([...this.rules.keys()]);
      void this.model.refresh();
    } else this.model?.rest();
    if (shown === "System") void this.system.refresh();
    else this.system.rest();
  }

  private look(ticker: string): void {
    this.market = new Market(ticker, this.market.interval);
    document.title = `${ticker} · Outcry`;
    this.connection.watch(ticker);
    const rules = this.rules.get(ticker);
    if (rules !== undefined) this.trader.look(ticker, rules);
    this.drawSoon();
  }

  /** Fetch the candles until they join the trades that were heard, or nobody wants them. */
  private async refreshCandles(): Promise<void> {
    const { market } = this;
    const { interval } = market;
    this.fetches += 1;
    const mine = this.fetches;
    const isWanted = () => this.fetches === mine && market === this.market;
    const history = await this.persist(
      () => fetchCandles(market.ticker, interval),
      (found) => !isWanted() || !market.take(interval, found),
      isWanted,
    ).catch(() => null);
    if (history !== null) this.drawSoon();
  }

  private async readClock(): Promise<void> {
    this.clockOffsetUs = await fetchClockOffsetUs().catch(() => this.clockOffsetUs);
  }

  private nowUs(): number {
    return Date.now() * 1_000 + this.clockOffsetUs;
  }

  /** Ask until the answer is good; rejects when nobody wants it any more. */
  private async persist<T>(
    ask: () => Promise<T>,
    isGood: (answer: T) => boolean,
    isWanted: () => boolean = () => true,
  ): Promise<T> {
    for (let failures = 1; isWanted(); failures += 1) {
      const answer = await ask().catch(() => null);
      if (answer !== null && isGood(answer)) return answer;
      await new Promise((resume) => setTimeout(resume, backoffMs(failures, Math.random())));
    }
    throw new Error("not wanted any more");
  }

  private drawSoon(): void {
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      const { market } = this;
      this.chart.show(market.series);
      this.predictions.show(market.ticker, market.predictions, this.nowUs());
      showLadder(market.book);
      showTape(market.trades ?? []);
    });
  }
}

void new Page().start();
