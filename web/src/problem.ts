/** What the gateway answers when it does not do what it was asked: RFC 9457, and its reasons. */

export interface Problem {
  status: number;
  /** A word of the closed list; empty: the answer is no problem document. */
  reason: string;
  title: string;
  detail: string;
}

export class ProblemError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

/** @param body null: none, or no JSON. */
export function readProblem(path: string, status: number, body: unknown): Problem {
  const said = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  const text = (name: string) => (typeof said[name] === "string" ? said[name] : "");
  const detail = text("detail") || `${path} was answered with ${status}`;
  return { status, reason: text("reason"), title: text("title"), detail };
}

export function tellProblem(problem: Problem): string {
  const title = problem.title === "" ? "" : `${problem.title}. `;
  const reason = problem.reason === "" ? "" : `${problem.reason}: `;
  return `${reason}${title}${problem.detail}`;
}
