import { cancelAll, cancelOrder } from "../api";
import { formatPrice, formatQuantity } from "../amounts";
import type { Credential } from "../credential";
import type { Order, OwnOrders } from "../orders";
import { ProblemError, tellProblem } from "../problem";
import { byId, make, row } from "./dom";

/** The caller's open orders, each with its cancel, and the last few that ended. */
export class OrdersView {
  private credential: Credential | null = null;
  private mayCancel = false;
  private readonly canceling = new Set<string>();
  private orders: OwnOrders | null = null;

  constructor() {
    byId("cancel-all").addEventListener("click", () => void this.cancelAll());
  }

  be(credential: Credential | null, mayCancel: boolean): void {
    this.credential = credential;
    this.mayCancel = mayCancel;
    this.canceling.clear();
    this.complain("");
  }

  /** @param orders null: nobody's, or not heard yet; the hint says why. */
  show(orders: OwnOrders | null, hint = ""): void {
    this.orders = orders;
    const focused = document.activeElement?.id ?? "";
    const open = orders?.open ?? [];
    byId("open-orders").replaceChildren(...open.map((order) => this.line(order)));
    byId("ended-orders").replaceChildren(...(orders?.ended ?? []).map(endedLine));
    byId("ended").hidden = (orders?.ended.length ?? 0) === 0;
    byId("orders-table").hidden = open.length === 0;
    byId("orders-count").textContent = orders === null ? "" : `${open.length} open`;
    byId("cancel-all").hidden = open.length === 0 || !this.mayCancel;
    byId("orders-hint").hidden = open.length > 0;
    byId("orders-hint").textContent = orders === null ? hint : "No open order.";
    // Lines are drawn anew with each report: whoever stood on a button still does.
    if (focused.startsWith("cancel-")) document.getElementById(focused)?.focus();
  }

  private line(order: Order): HTMLElement {
    const element = row(cellsOf(order));
    const cell = make("td");
    if (this.mayCancel) cell.append(this.button(order));
    element.append(cell);
    return element;
  }

  private button(order: Order): HTMLElement {
    const button = document.createElement("button");
    button.type = "button";
    button.id = `cancel-${order.orderId}`;
    button.textContent = "Cancel";
    button.disabled = this.canceling.has(order.orderId);
    button.setAttribute("aria-label", `Cancel ${order.side} ${order.quantity} ${order.ticker}`);
    button.addEventListener("click", () => void this.cancel(order));
    return button;
  }

  private async cancel(order: Order): Promise<void> {
    const { credential } = this;
    if (credential === null) return;
    this.canceling.add(order.orderId);
    this.show(this.orders);
    await this.attempt(() => cancelOrder(credential, order.orderId));
    this.canceling.delete(order.orderId);
    this.show(this.orders);
  }

  private async cancelAll(): Promise<void> {
    const { credential } = this;
    if (credential !== null) await this.attempt(() => cancelAll(credential));
  }

  private async attempt(act: () => Promise<void>): Promise<void> {
    this.complain("");
    try {
      await act();
    } catch (error) {
      this.complain(
        error instanceof ProblemError
          ? tellProblem(error.problem)
          : "No answer came: the order may be canceled or not. Cancel again, it does no harm.",
      );
    }
  }

  private complain(text: string): void {
    byId("orders-problem").textContent = text;
  }
}

function cellsOf(order: Order): [string, string][] {
  const isBuy = order.side === "BUY";
  return [
    ["", order.ticker],
    [`price ${isBuy ? "up" : "down"}`, `${isBuy ? "▲ buy" : "▼ sell"}`],
    ["number", order.price === null ? "market" : formatPrice(order.price)],
    ["number", `${formatQuantity(order.filled)} / ${formatQuantity(order.quantity)}`],
    ["", words(order.status)],
  ];
}

function endedLine(order: Order): HTMLElement {
  const line = row([...cellsOf(order), ["detail", order.reason ?? ""]]);
  line.dataset["status"] = order.status;
  return line;
}

function words(status: string): string {
  return status.toLowerCase().replaceAll("_", " ");
}
