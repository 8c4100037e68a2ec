/** Who asks: a key, or where the gateway's access is open an account's name. */

export type Credential = { kind: "key"; key: string } | { kind: "account"; account: string };

/** Where a tab keeps it: gone with the tab, and never part of an address. */
export const CREDENTIAL_SLOT = "outcry.credential";

const KEY_START = "outcry_";
const ID = /^[!-~]{1,64}$/;
const KEY = /^[!-~]{1,200}$/;

export function looksLikeKey(text: string): boolean {
  return text.trim().startsWith(KEY_START);
}

/** What was typed or kept; null: neither a key nor an account's name. */
export function readCredential(text: string): Credential | null {
  const said = text.trim();
  if (looksLikeKey(said)) return KEY.test(said) ? { kind: "key", key: said } : null;
  return ID.test(said) ? { kind: "account", account: said } : null;
}

export function spellCredential(credential: Credential): string {
  return credential.kind === "key" ? credential.key : credential.account;
}

/** Headers of a request that must be the caller's own. */
export function headersOf(credential: Credential): Record<string, string> {
  return credential.kind === "key"
    ? { Authorization: `Bearer ${credential.key}` }
    : { "X-Outcry-Account": credential.account };
}

/** Who the gateway says it is, and what that one may do here. */
export interface Identity {
  account: string;
  scopes: readonly string[];
}

/** Of who is only named: the gateway believes it, for reading and for trading. */
export function namedIdentity(account: string): Identity {
  return { account, scopes: ["read", "trade"] };
}
