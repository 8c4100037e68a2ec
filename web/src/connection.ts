/** The WebSocket: stays connected by itself, and says how it is. */

import { backoffMs } from "./backoff";
import { type Channel, type Message, readMessage } from "./messages";
import { BadMessageError } from "./reading";
import { Sequences } from "./sequences";

/** The gateway breaks a silence after 15 s by a heartbeat. */
const SILENCE_MS_MAX = 40_000;
const CHANNELS: readonly Channel[] = ["book", "trades", "predictions"];

export type State =
  | { kind: "connecting" }
  | { kind: "live" }
  | { kind: "waiting"; cause: string; untilMs: number };

export type Update = Extract<Message, { type: "snapshot" | "update" }>;

export interface Ear {
  /** Called with each message about the ticker watched, in order and without a gap. */
  heard(update: Update): void;
  changed(state: State): void;
}

export class Connection {
  private socket: WebSocket | null = null;
  private readonly sequences = new Sequences();
  private ticker = "";
  private failures = 0;
  private silence = 0;

  constructor(
    private readonly address: string,
    private readonly ear: Ear,
  ) {}

  /** Hear this ticker from now on, and no other. */
  watch(ticker: string): void {
    if (ticker === this.ticker) return;
    const before = this.ticker;
    this.ticker = ticker;
    if (this.socket === null) {
      if (before === "") this.connect();
    } else if (this.socket.readyState === WebSocket.OPEN) {
      this.say("unsubscribe", before);
      this.say("subscribe", ticker);
    }
  }

  private connect(): void {
    this.ear.changed({ kind: "connecting" });
    const socket = new WebSocket(this.address);
    this.socket = socket;
    this.mindSilence();
    socket.onopen = () => this.say("subscribe", this.ticker);
    socket.onmessage = (event) => {
      if (this.socket !== socket) return;
      this.mindSilence();
      this.hear(String(event.data));
    };
    socket.onclose = (event) => {
      if (this.socket === socket) this.lose(event.reason || "the gateway does not answer");
    };
  }

  private hear(text: string): void {
    let message: Message;
    try {
      message = readMessage(text);
      if (message.type === "error") {
        this.lose(message.reason === "STARTING" ? "the exchange is starting" : message.detail);
      } else if (message.type !== "other") {
        this.pass(message);
      }
    } catch (error) {
      if (!(error instanceof BadMessageError)) throw error;
      this.lose("the gateway is of another version; load the page again");
    }
  }

  private pass(update: Update): void {
    const verdict = this.sequences.judge(`${update.channel} ${update.ticker}`, update.sequence);
    if (verdict === "gap") this.lose("a message was missed");
    if (verdict !== "next") return;
    if (this.failures > 0 || update.type === "snapshot") {
      this.failures = 0;
      this.ear.changed({ kind: "live" });
    }
    this.ear.heard(update);
  }

  private say(op: "subscribe" | "unsubscribe", ticker: string): void {
    for (const channel of CHANNELS) {
      const subscription = `${channel} ${ticker}`;
      if (op === "subscribe") this.sequences.begin(subscription);
      else this.sequences.end(subscription);
      this.socket?.send(JSON.stringify({ op, channel, ticker }));
    }
  }

  private lose(cause: string): void {
    const socket = this.socket;
    this.socket = null;
    clearTimeout(this.silence);
    for (const channel of CHANNELS) this.sequences.end(`${channel} ${this.ticker}`);
    socket?.close();
    this.failures += 1;
    const waitMs = backoffMs(this.failures, Math.random());
    this.ear.changed({ kind: "waiting", cause, untilMs: Date.now() + waitMs });
    setTimeout(() => this.connect(), waitMs);
  }

  private mindSilence(): void {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.lose("nothing was heard for long"), SILENCE_MS_MAX);
  }
}
