import type { State } from "../connection";
import { byId } from "./dom";

/** Whether what is shown is the present, and if not, what is done about it. */
export function showStatus(state: State): void {
  const text = describe(state);
  const element = byId("status");
  // A status that is spoken aloud must not be spoken again each second for nothing.
  if (element.textContent !== text) element.textContent = text;
  document.body.dataset["connection"] = state.kind;
}

function describe(state: State): string {
  switch (state.kind) {
    case "live":
      return "Live";
    case "connecting":
      return "Connecting …";
    case "waiting": {
      const seconds = Math.max(1, Math.ceil((state.untilMs - Date.now()) / 1_000));
      return `Not connected: ${state.cause}. Next try in ${seconds} s`;
    }
  }
}
