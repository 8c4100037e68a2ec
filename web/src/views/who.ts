import { knock } from "../api";
import { backoffMs } from "../backoff";
import {
  type Credential,
  CREDENTIAL_SLOT,
  type Identity,
  looksLikeKey,
  readCredential,
  spellCredential,
} from "../credential";
import { ProblemError, tellProblem } from "../problem";
import { byId, input } from "./dom";

const NEITHER =
  "Neither a key (outcry_ and more) nor an account: 1 to 64 printable characters without spaces";

/** The field for a key or an account, and who that turned out to be. */
export class WhoView {
  private tries = 0;

  /** @param chosen called with who is let in, or null: nobody any more. */
  constructor(private readonly chosen: (credential: Credential | null) => void) {
    const field = input("who-secret");
    // A key must not be read over a shoulder; a name may.
    field.addEventListener("input", () => {
      field.type = looksLikeKey(field.value) ? "password" : "text";
    });
    byId("who-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const credential = readCredential(field.value);
      if (credential === null) this.complain(NEITHER);
      else void this.enter(credential, false);
    });
    byId("who-leave").addEventListener("click", () => {
      this.leave("");
      field.focus();
    });
  }

  /** Whoever this tab was before it was loaded again. */
  resume(): void {
    const kept = readCredential(sessionStorage.getItem(CREDENTIAL_SLOT) ?? "");
    if (kept !== null) void this.enter(kept, true);
  }

  show(identity: Identity): void {
    const scopes = identity.scopes.join(", ");
    const account = identity.account === "" ? "No account" : identity.account;
    byId("who-told").textContent = `${account} (${scopes})`;
  }

  /** Nobody from now on. @param cause why, empty: it was asked for. */
  leave(cause: string): void {
    this.tries += 1;
    sessionStorage.removeItem(CREDENTIAL_SLOT);
    this.chosen(null);
    this.turn(false);
    this.complain(cause);
  }

  /** @param isPatient ask until there is an answer. */
  private async enter(credential: Credential, isPatient: boolean): Promise<void> {
    this.tries += 1;
    const mine = this.tries;
    this.complain("");
    byId("who-told").textContent = "Asking …";
    for (let failures = 1; ; failures += 1) {
      const cause = await refusalOf(credential);
      if (mine !== this.tries) return;
      if (cause === null) break;
      if (!isPatient || cause.isFinal) {
        this.leave(cause.text);
        return;
      }
      await new Promise((resume) => setTimeout(resume, backoffMs(failures, Math.random())));
      if (mine !== this.tries) return;
    }
    sessionStorage.setItem(CREDENTIAL_SLOT, spellCredential(credential));
    input("who-secret").value = "";
    this.turn(true);
    this.chosen(credential);
  }

  private turn(isIn: boolean): void {
    byId("who-form").hidden = isIn;
    byId("who-here").hidden = !isIn;
    if (!isIn) byId("who-told").textContent = "";
  }

  private complain(text: string): void {
    byId("who-problem").textContent = text;
    input("who-secret").setAttribute("aria-invalid", String(text !== ""));
  }
}

/** Why it is not let in; final: asking again would not help. */
async function refusalOf(
  credential: Credential,
): Promise<{ text: string; isFinal: boolean } | null> {
  try {
    await knock(credential);
    return null;
  } catch (error) {
    if (!(error instanceof ProblemError)) {
      return { text: "The gateway does not answer; try again", isFinal: false };
    }
    return { text: tellProblem(error.problem), isFinal: error.problem.status < 500 };
  }
}
