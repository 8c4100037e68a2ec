import { formatQuantity } from "../amounts";
import { type Gauge, FULL_SHARE, HIGH_SHARE, type Position, type Standing } from "../standing";
import { byId, make } from "./dom";

/** @param standing null: nobody's, or not heard yet; the hint says why. */
export function showPositions(standing: Standing | null, hint: string): void {
  const isEmpty = standing === null || standing.positions.length === 0;
  byId("positions-hint").hidden = !isEmpty;
  byId("positions-hint").textContent = standing === null ? hint : "Nothing held, nothing open.";
  byId("portfolio").replaceChildren(
    ...(standing === null ? [] : [gauge("Portfolio", "all tickers", standing.exposure)]),
  );
  byId("holdings").replaceChildren(...(standing?.positions ?? []).map(card));
}

function card(position: Position): HTMLElement {
  const element = make("article", "holding");
  const head = make("p", "head");
  const shares = `${formatQuantity(position.position)} shares`;
  const mark = position.mark === null ? "no mark" : `mark ${position.mark}`;
  head.append(make("strong", "", position.ticker), make("span", "", shares), make("span", "soft", mark));
  element.append(
    head,
    gauge("Position", position.ticker, position.shares),
    gauge("Notional", position.ticker, position.money),
  );
  return element;
}

function gauge(name: string, of: string, { used, max, text }: Gauge): HTMLElement {
  const element = make("div", "gauge");
  element.append(make("span", "soft", name), make("span", "", text));
  if (used === null || max === null) return element;
  const meter = document.createElement("meter");
  // A limit of 0 leaves no room: full as soon as anything is used.
  const most = Math.max(max, 1);
  meter.max = most;
  meter.optimum = 0;
  meter.low = HIGH_SHARE * most;
  meter.high = FULL_SHARE * most;
  meter.value = max === 0 && used > 0 ? most : Math.min(used, most);
  meter.setAttribute("aria-label", `${name} of ${of}`);
  meter.textContent = text;
  element.append(meter);
  return element;
}
