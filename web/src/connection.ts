/** The WebSocket: stays connected by itself, says how it is, and proves who asks. */

import { backoffMs } from "./backoff";
import { type Credential, type Identity, namedIdentity } from "./credential";
import {
  MARKET_CHANNELS,
  type MarketChannel,
  type Message,
  OWN_CHANNELS,
  type OwnChannel,
  readMessage,
} from "./messages";
import { BadMessageError } from "./reading";
import { Sequences } from "./sequences";

/** The gateway breaks a silence after 15 s by a heartbeat. */
const SILENCE_MS_MAX = 40_000;
/** The gateway closes with it when a key counts no more. */
const KEY_ENDED = 4003;

export type State =
  | { kind: "connecting" }
  | { kind: "live" }
  | { kind: "waiting"; cause: string; untilMs: number };

type Update = Extract<Message, { type: "snapshot" | "update" }>;
export type MarketUpdate = Extract<Update, { channel: MarketChannel }>;
export type OwnUpdate = Extract<Update, { channel: OwnChannel }>;

export interface Ear {
  /** Called with each message about the ticker watched, in order and without a gap. */
  heard(update: MarketUpdate): void;
  /** The same of what is the caller's own. */
  heardOwn(update: OwnUpdate): void;
  /** The gateway knows who asks: after each connect. */
  entered(identity: Identity): void;
  /** It does not let this one in, or not any more; say by `be` who else. */
  refused(cause: string): void;
  changed(state: State): void;
}

export class Connection {
  private socket: WebSocket | null = null;
  private readonly sequences = new Sequences();
  private ticker = "";
  private credential: Credential | null = null;
  private failures = 0;
  private silence = 0;
  private retry = 0;

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
      this.sayMarket("unsubscribe", before);
      this.sayMarket("subscribe", ticker);
    }
  }

  /** Be this one from now on, null: nobody; by a connection of its own. */
  be(credential: Credential | null): void {
    this.credential = credential;
    if (this.ticker === "") return;
    this.part();
    this.connect();
  }

  private connect(): void {
    clearTimeout(this.retry);
    this.ear.changed({ kind: "connecting" });
    const { credential } = this;
    // An account that is only named can be named nowhere else by a browser; a key never is.
    const named = credential?.kind === "account" ? credential.account : "";
    const query = named === "" ? "" : `?account=${encodeURIComponent(named)}`;
    const socket = new WebSocket(this.address + query);
    this.socket = socket;
    this.mindSilence();
    socket.onopen = () => {
      this.sayMarket("subscribe", this.ticker);
      if (credential?.kind === "key") {
        socket.send(JSON.stringify({ op: "authenticate", key: credential.key }));
      } else if (named !== "") {
        this.enter(namedIdentity(named));
      }
    };
    socket.onmessage = (event) => {
      if (this.socket !== socket) return;
      this.mindSilence();
      this.hear(String(event.data));
    };
    socket.onclose = (event) => {
      if (this.socket !== socket) return;
      const cause = event.reason || "the gateway does not answer";
      if (event.code === KEY_ENDED) this.ear.refused(cause);
      else this.lose(cause);
    };
  }

  private enter(identity: Identity): void {
    if (identity.scopes.includes("read")) {
      for (const channel of OWN_CHANNELS) {
        this.sequences.begin(channel);
        this.socket?.send(JSON.stringify({ op: "subscribe", channel }));
      }
    }
    this.ear.entered(identity);
  }

  private hear(text: string): void {
    let message: Message;
    try {
      message = readMessage(text);
      if (message.type === "error") this.hearError(message.reason, message.detail);
      else if (message.type === "authenticated") this.enter(message);
      else if (message.type !== "other") this.pass(message);
    } catch (error) {
      if (!(error instanceof BadMessageError)) throw error;
      this.lose("the gateway is of another version; load the page again");
    }
  }

  private hearError(reason: string, detail: string): void {
    if (reason === "KEY_REFUSED") this.ear.refused(`${reason}: ${detail}`);
    else this.lose(reason === "STARTING" ? "the exchange is starting" : detail);
  }

  private pass(update: Update): void {
    const subscription = subscriptionOf(update);
    const verdict =
      update.channel === "book"
        ? this.sequences.judgeBook(subscription, update.sequence, update.previous)
        : this.sequences.judge(subscription, update.sequence);
    if (verdict === "gap") this.lose("a message was missed");
    if (verdict !== "next") return;
    if (this.failures > 0 || update.type === "snapshot") {
      this.failures = 0;
      this.ear.changed({ kind: "live" });
    }
    if ("ticker" in update) this.ear.heard(update);
    else this.ear.heardOwn(update);
  }

  private sayMarket(op: "subscribe" | "unsubscribe", ticker: string): void {
    for (const channel of MARKET_CHANNELS) {
      const subscription = `${channel} ${ticker}`;
      if (op === "subscribe") this.sequences.begin(subscription);
      else this.sequences.end(subscription);
      this.socket?.send(JSON.stringify({ op, channel, ticker }));
    }
  }

  private part(): void {
    const socket = this.socket;
    this.socket = null;
    clearTimeout(this.silence);
    for (const channel of MARKET_CHANNELS) this.sequences.end(`${channel} ${this.ticker}`);
    for (const channel of OWN_CHANNELS) this.sequences.end(channel);
    if (socket?.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
    else socket?.close();
  }

  private lose(cause: string): void {
    this.part();
    this.failures += 1;
    const waitMs = backoffMs(this.failures, Math.random());
    this.ear.changed({ kind: "waiting", cause, untilMs: Date.now() + waitMs });
    this.retry = setTimeout(() => this.connect(), waitMs);
  }

  private mindSilence(): void {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.lose("nothing was heard for long"), SILENCE_MS_MAX);
  }
}

function subscriptionOf(update: Update): string {
  return "ticker" in update ? `${update.channel} ${update.ticker}` : update.channel;
}
