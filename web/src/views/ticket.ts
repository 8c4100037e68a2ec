import { placeOrder } from "../api";
import type { Credential, Identity } from "../credential";
import type { Order } from "../orders";
import { tellProblem } from "../problem";
import {
  type Body,
  bodyOf,
  type Draft,
  type Faults,
  findFaults,
  isSettledBy,
  makeClientId,
  type Outcome,
  type Rules,
  tellOrder,
} from "../ticket";
import { byId, input, select } from "./dom";

/** An order whose outcome is not known, kept over a reload of the tab. */
const PENDING_SLOT = "outcry.unknown-order";
const FIELDS = ["price", "quantity", "force"] as const;

const NOBODY = "Say who you are, at the top, to trade.";

interface Pending {
  account: string;
  body: Body;
}

/** The order ticket: checks, sends, and tells what came of it. */
export class TicketView {
  private ticker = "";
  private rules: Rules = { tick: null, subDollarTick: null, lot: null, quantityMax: null };
  private credential: Credential | null = null;
  private account = "";
  private pending: Pending | null = null;
  private isSending = false;
  /** Whether a try of the pending order may have been written. */
  private isDoubtful = false;

  constructor() {
    byId("ticket-form").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.submit();
    });
    for (const id of ["ticket-type", "ticket-buy", "ticket-sell"]) {
      byId(id).addEventListener("change", () => this.draw());
    }
    for (const field of FIELDS) {
      byId(`ticket-${field}`).addEventListener("input", () => this.blame({ [field]: "" }));
    }
    byId("ticket-again").addEventListener("click", () => void this.sendAgain());
    byId("ticket-forget").addEventListener("click", () => this.settle("", "none"));
  }

  look(ticker: string, rules: Rules): void {
    this.ticker = ticker;
    this.rules = rules;
    this.draw();
  }

  /** Who trades from now on; nobody: the ticket rests. */
  be(credential: Credential | null, identity: Identity | null): void {
    const before = this.account;
    this.credential = credential;
    this.account = identity?.account ?? "";
    const mayTrade = identity?.scopes.includes("trade") ?? false;
    byId("ticket-form").hidden = !mayTrade;
    byId("ticket-hint").hidden = mayTrade;
    byId("ticket-hint").textContent =
      identity === null ? NOBODY : "This key may not trade: it lacks the scope trade.";
    if (before !== this.account) this.restore();
  }

  /** A report of one of the account's orders: it may be the one whose outcome is not known. */
  hear(order: Order): void {
    if (this.pending?.body["client_order_id"] !== order.clientOrderId || this.isSending) return;
    this.settle(`It was taken. ${tellOrder(order)}`, "good");
  }

  private restore(): void {
    this.pending = readPending();
    if (this.pending?.account !== this.account) this.pending = null;
    this.isDoubtful = false;
    this.tell("", "none");
    if (this.pending !== null) this.wonder("the page was loaded again before an answer came");
    this.draw();
  }

  private draft(): Draft {
    return {
      ticker: this.ticker,
      side: input("ticket-sell").checked ? "SELL" : "BUY",
      type: select("ticket-type").value,
      price: input("ticket-price").value,
      quantity: input("ticket-quantity").value,
      force: select("ticket-force").value,
      isPostOnly: input("ticket-post-only").checked,
      selfTrade: select("ticket-self-trade").value,
    };
  }

  private async submit(): Promise<void> {
    if (this.isSending || this.pending !== null) return;
    const draft = this.draft();
    const faults = findFaults(draft, this.rules);
    this.blame({ price: "", quantity: "", force: "", ...faults });
    const first = FIELDS.find((field) => faults[field] !== undefined);
    if (first !== undefined) {
      byId(`ticket-${first}`).focus();
      this.tell("Not sent: see the field marked above.", "bad");
      return;
    }
    await this.send({ account: this.account, body: bodyOf(draft, makeClientId("page")) });
  }

  private async sendAgain(): Promise<void> {
    if (this.pending !== null && !this.isSending) await this.send(this.pending);
  }

  private async send(order: Pending): Promise<void> {
    const { credential } = this;
    if (credential === null) return;
    this.pending = order;
    // Before it is sent: a tab that is closed or loaded again meanwhile can still ask.
    sessionStorage.setItem(PENDING_SLOT, JSON.stringify(order));
    this.isSending = true;
    this.tell("Sending …", "none");
    this.draw();
    const outcome = await placeOrder(credential, order.body);
    this.isSending = false;
    if (this.pending !== order) return;
    this.conclude(outcome);
  }

  private conclude(outcome: Outcome): void {
    switch (outcome.kind) {
      case "placed":
        this.settle(tellOrder(outcome.order), "good");
        return;
      case "taken":
        this.settle("It is durable; the exchange has not spoken yet. See the orders.", "unsure");
        return;
      case "refused": {
        const cause = tellProblem(outcome.problem);
        if (isSettledBy(outcome.problem, this.isDoubtful)) this.settle(cause, "bad");
        else this.wonder(`of this try is known: ${cause}`);
        break;
      }
      case "unknown":
        this.wonder(outcome.cause);
    }
    this.draw();
  }

  private wonder(cause: string): void {
    this.isDoubtful = true;
    this.tell(
      `It is not known whether the order was taken: ${cause}. Sending it again is safe: it goes` +
        " under the same id, and is one order.",
      "unsure",
    );
  }

  private settle(text: string, tone: string): void {
    this.pending = null;
    this.isDoubtful = false;
    sessionStorage.removeItem(PENDING_SLOT);
    this.tell(text, tone);
    this.draw();
  }

  private tell(text: string, tone: string): void {
    const told = byId("ticket-told");
    told.textContent = text;
    told.className = `outcome ${tone}`;
  }

  private blame(faults: Faults): void {
    for (const field of FIELDS) {
      const fault = faults[field];
      if (fault === undefined) continue;
      byId(`ticket-${field}-fault`).textContent = fault;
      byId(`ticket-${field}`).setAttribute("aria-invalid", String(fault !== ""));
    }
  }

  private draw(): void {
    const isMarket = select("ticket-type").value === "MARKET";
    const isHeld = this.pending !== null;
    const { side } = this.draft();
    (byId("ticket-fields") as HTMLFieldSetElement).disabled = isHeld;
    input("ticket-price").disabled = isMarket;
    select("ticket-force").disabled = isMarket;
    input("ticket-post-only").disabled = isMarket;
    if (isMarket) {
      select("ticket-force").value = "IOC";
      input("ticket-post-only").checked = false;
      this.blame({ price: "", force: "" });
    }
    const button = byId("ticket-send");
    button.textContent = `${side === "BUY" ? "Buy" : "Sell"} ${this.ticker}`;
    button.className = side === "BUY" ? "up" : "down";
    button.hidden = isHeld && !this.isSending;
    byId("ticket-unknown").hidden = !isHeld || this.isSending;
  }
}

function readPending(): Pending | null {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(PENDING_SLOT) ?? "null");
    return typeof kept === "object" && kept !== null && "body" in kept ? (kept as Pending) : null;
  } catch {
    return null;
  }
}
