/** The exchange as a whole: stages, snapshots, the last audit, asked again now and then. */

import { fetchStatus } from "../api";
import type { ExchangeStatus, Line, Part } from "../exchange";
import { byId, make } from "./dom";

const EVERY_MS = 5_000;
const SIGNS = { good: "✓", bad: "!", unsure: "?" } as const;
const PARTS = ["stages", "snapshots", "audit"] as const;

export class SystemView {
  private asked = 0;
  private timer = 0;

  /** @param nowUs the gateway's clock. */
  constructor(private readonly nowUs: () => number) {}

  /** Ask now, and from now on every few seconds, until `rest`. */
  async refresh(): Promise<void> {
    clearTimeout(this.timer);
    this.asked += 1;
    const mine = this.asked;
    const found = await fetchStatus(this.nowUs()).catch((error: unknown) => (error as Error).message);
    if (mine !== this.asked) return;
    if (typeof found === "string") this.tell("failed", found);
    else this.draw(found);
    this.timer = setTimeout(() => void this.refresh(), EVERY_MS);
  }

  /** Nobody looks: ask for nothing. */
  rest(): void {
    clearTimeout(this.timer);
    this.asked += 1;
  }

  private draw(status: ExchangeStatus): void {
    this.tell("shown", "");
    for (const name of PARTS) showPart(name, status[name]);
  }

  private tell(state: "shown" | "failed", text: string): void {
    byId("system").dataset["state"] = state;
    const told = byId("system-told");
    const said = text === "" ? "" : `${text}. It is asked for again by itself.`;
    if (told.textContent !== said) told.textContent = said;
  }
}

function showPart(name: string, part: Part): void {
  const lines = part.lines.map(line);
  if (part.unknown !== null) {
    lines.unshift(line({ name: "unknown", value: part.unknown, tone: "unsure" }));
  }
  byId(`system-${name}`).replaceChildren(...lines);
}

function line({ name, value, tone }: Line): HTMLElement {
  const element = make("li");
  element.append(
    make("span", `outcome ${tone}`, SIGNS[tone]),
    make("span", "soft", name),
    make("span", "detail", value),
  );
  return element;
}
