/** How the exchange as a whole is, as the gateway tells it. */

import { formatQuantity } from "./amounts";
import { formatAge } from "./freshness";
import { list, nullOr, number, object, string } from "./reading";

export type Tone = "good" | "bad" | "unsure";

/** One line of what is shown: a name, its value, and whether that is well. */
export interface Line {
  name: string;
  value: string;
  tone: Tone;
}

/** A part: its lines, or why nothing is known of it. */
export interface Part {
  lines: Line[];
  unknown: string | null;
}

export interface ExchangeStatus {
  stages: Part;
  snapshots: Part;
  audit: Part;
}

/** More unread records than this are a queue, and not what is just on its way. */
export const BEHIND_MAX = 1_000;

export function readStatus(data: unknown, nowUs: number): ExchangeStatus {
  const said = object(data);
  return {
    stages: readPart(said["stages"], (part) => list(part["stages"], readStage)),
    snapshots: readPart(said["snapshots"], (part) => readSnapshots(part["rooms"], nowUs)),
    audit: readPart(said["audit"], (part) => readAudit(part["last"], nowUs)),
  };
}

type Json = Record<string, unknown>;

function readPart(data: unknown, read: (part: Json) => Line[]): Part {
  const part = object(data);
  if (part["state"] === "known") return { unknown: null, lines: read(part) };
  return { unknown: nullOr(part["reason"], string) ?? "", lines: [] };
}

function readStage(data: unknown): Line {
  const stage = object(data);
  const name = `${string(stage["room"])} ← ${string(stage["topic"])}`;
  const behind = nullOr(stage["behind"], number);
  if (behind === null) {
    return { name, value: `unknown: ${nullOr(stage["reason"], string) ?? ""}`, tone: "unsure" };
  }
  const value = behind === 0 ? "up to date" : `${formatQuantity(behind)} behind`;
  return { name, value, tone: behind > BEHIND_MAX ? "bad" : "good" };
}

function readSnapshots(data: unknown, nowUs: number): Line[] {
  const rooms = list(data, (item) => {
    const room = object(item);
    const age = formatAge(nowUs - number(room["newest_at_us"]));
    const oldest = formatAge(nowUs - number(room["oldest_at_us"]));
    const partitions = number(room["partitions"]);
    const spread = partitions === 1 ? "" : `; of ${partitions} partitions the oldest ${oldest}`;
    return { name: string(room["room"]), value: `${age} ago${spread}`, tone: "good" as const };
  });
  return rooms.length > 0 ? rooms : [{ name: "rooms", value: "none was kept yet", tone: "unsure" }];
}

function readAudit(data: unknown, nowUs: number): Line[] {
  if (data === null) {
    const value = "none was kept yet; outcry audit makes one";
    return [{ name: "audit", value, tone: "unsure" }];
  }
  const last = object(data);
  const holds = last["holds"] === true;
  const lines: Line[] = [
    {
      name: "result",
      value: holds ? "everything follows from the log" : string(last["first_difference"]),
      tone: holds ? "good" : "bad",
    },
    { name: "when", value: `${formatAge(nowUs - number(last["audited_at_us"]))} ago`, tone: "good" },
    { name: "records", value: formatQuantity(number(last["records"])), tone: "good" },
    { name: "digest", value: string(last["digest"]), tone: "good" },
  ];
  return lines;
}
