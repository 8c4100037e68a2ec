/** Who asks, and what is theirs: the ticket, the orders, the positions. */

import { fetchOrders } from "./api";
import type { OwnUpdate } from "./connection";
import type { Credential, Identity } from "./credential";
import { type Order, OwnOrders, readOrders, readReport } from "./orders";
import { readStanding, type Standing } from "./standing";
import type { Rules } from "./ticket";
import { OrdersView } from "./views/orders";
import { showPositions } from "./views/positions";
import { TicketView } from "./views/ticket";
import { WhoView } from "./views/who";

const NOBODY = "Nobody's, until you say who you are, at the top.";
const READING = "Not heard yet.";
const NO_SCOPE = "This key may not read: it lacks the scope read.";

export class Trader {
  private readonly who: WhoView;
  private readonly ticket = new TicketView();
  private readonly orders = new OrdersView();
  private credential: Credential | null = null;
  private own: OwnOrders | null = null;
  private standing: Standing | null = null;
  private hint = NOBODY;
  private isDue = false;

  /** @param become called with who asks from now on; null: nobody. */
  constructor(become: (credential: Credential | null) => void) {
    this.who = new WhoView((credential) => {
      this.forget(credential === null ? NOBODY : READING);
      this.credential = credential;
      this.ticket.be(null, null);
      become(credential);
    });
    this.ticket.be(null, null);
    this.drawSoon();
  }

  resume(): void {
    this.who.resume();
  }

  look(ticker: string, rules: Rules): void {
    this.ticket.look(ticker, rules);
  }

  /** The gateway has said who this is; after each reconnect again. */
  enter(identity: Identity): void {
    this.who.show(identity);
    this.ticket.be(this.credential, identity);
    this.orders.be(this.credential, identity.scopes.includes("trade"));
    if (!identity.scopes.includes("read")) this.forget(NO_SCOPE);
  }

  leave(cause: string): void {
    this.who.leave(cause);
  }

  hear(update: OwnUpdate): void {
    if (update.channel === "positions") this.standing = readStanding(update.data);
    else if (update.type === "snapshot") this.begin(readOrders(update.data));
    else {
      const report = readReport(update.data);
      if (report !== null) this.own?.hear(report);
      if (report !== null) this.ticket.hear(report);
    }
    this.drawSoon();
  }

  private begin(open: readonly Order[]): void {
    const own = (this.own ??= new OwnOrders());
    own.begin(open);
    for (const order of open) this.ticket.hear(order);
    void this.recall(own);
  }

  /** Which orders ended while nobody listened. */
  private async recall(own: OwnOrders): Promise<void> {
    const { credential } = this;
    const found = credential === null ? null : await fetchOrders(credential).catch(() => null);
    // Without an answer the open ones are right all the same; the next snapshot asks again.
    if (found === null || own !== this.own) return;
    own.recall(found);
    for (const order of found) this.ticket.hear(order);
    this.drawSoon();
  }

  private forget(hint: string): void {
    this.hint = hint;
    this.own = null;
    this.standing = null;
    this.drawSoon();
  }

  private drawSoon(): void {
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      this.orders.show(this.own, this.hint);
      showPositions(this.standing, this.hint);
    });
  }
}
