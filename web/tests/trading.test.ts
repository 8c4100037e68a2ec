import { describe, expect, it } from "vitest";

import { headersOf, looksLikeKey, readCredential, spellCredential } from "../src/credential";
import { readStatus } from "../src/exchange";
import { ENDED_MAX, isLive, type Order, OwnOrders, readOrder, readReport } from "../src/orders";
import { readProblem, tellProblem } from "../src/problem";
import { BadMessageError } from "../src/reading";
import { formatMoney, readStanding } from "../src/standing";
import {
  bodyOf,
  type Draft,
  findFaults,
  isSettledBy,
  judge,
  type Rules,
  tellOrder,
} from "../src/ticket";

const DRAFT: Draft = {
  ticker: "AAPL",
  side: "BUY",
  type: "LIMIT",
  price: "187.25",
  quantity: "100",
  force: "GTC",
  isPostOnly: false,
  selfTrade: "CANCEL_RESTING",
};
const RULES: Rules = { tick: 100, subDollarTick: 1, lot: 10, quantityMax: 1_000 };
const UNREAD: Rules = { tick: null, subDollarTick: null, lot: null, quantityMax: null };

const SAID = {
  order_id: "AAPL-1",
  client_order_id: "a-1",
  ticker: "AAPL",
  status: "NEW",
  side: "BUY",
  order_type: "LIMIT",
  price: "187.25",
  quantity: 100,
  cumulative_quantity: 0,
  remaining_quantity: 100,
  average_price: null,
  last_exec_type: "NEW",
  reason: null,
  account_sequence: 2,
  updated_at_us: 1,
};

function order(orderId: string, status: string, sequence: number): Order {
  return { ...readOrder(SAID), orderId, status, sequence };
}

describe("who asks", () => {
  it("is a key, which travels in a header, or an account's name", () => {
    const key = readCredential("  outcry_0123456789abcdef_secret ");
    expect(key).toEqual({ kind: "key", key: "outcry_0123456789abcdef_secret" });
    expect(key && headersOf(key)).toEqual({ Authorization: "Bearer outcry_0123456789abcdef_secret" });
    const name = readCredential("alice");
    expect(name && headersOf(name)).toEqual({ "X-Outcry-Account": "alice" });
    for (const kept of [key, name]) {
      expect(kept && readCredential(spellCredential(kept))).toEqual(kept);
    }
  });

  it.each(["", " ", "two words", "ä", "x".repeat(65), "outcry_ a", "outcry_ä"])(
    "%j is neither",
    (text) => {
      expect(readCredential(text)).toBeNull();
    },
  );

  it("is masked as soon as it looks like a key", () => {
    expect([looksLikeKey("outcry_"), looksLikeKey("outcr"), looksLikeKey("alice")]).toEqual([
      true,
      false,
      false,
    ]);
  });
});

describe("a ticket", () => {
  it("finds nothing wrong with what risk would take", () => {
    expect(findFaults(DRAFT, RULES)).toEqual({});
    expect(findFaults({ ...DRAFT, price: "0.1234" }, RULES)).toEqual({});
    expect(findFaults({ ...DRAFT, type: "MARKET", price: "", force: "IOC" }, RULES)).toEqual({});
    expect(findFaults({ ...DRAFT, price: "187.2511", quantity: "7" }, UNREAD)).toEqual({});
  });

  it.each([
    ["price", "", "INVALID_PRICE"],
    ["price", "1e2", "INVALID_PRICE"],
    ["price", "-1", "INVALID_PRICE"],
    ["price", "0", "INVALID_PRICE"],
    ["price", "100000.01", "INVALID_PRICE"],
    ["price", "187.251", "OFF_TICK"],
    ["quantity", "", "INVALID_QUANTITY"],
    ["quantity", "0", "INVALID_QUANTITY"],
    ["quantity", "1.5", "INVALID_QUANTITY"],
    ["quantity", "1e2", "INVALID_QUANTITY"],
    ["quantity", "9999999999", "INVALID_QUANTITY"],
    ["quantity", "105", "OFF_LOT"],
    ["quantity", "2000", "ORDER_TOO_LARGE"],
  ] as const)("says of %s %j what risk would: %s", (field, text, reason) => {
    const faults = findFaults({ ...DRAFT, [field]: text }, RULES);
    expect(Object.keys(faults)).toEqual([field]);
    expect(faults[field]).toMatch(new RegExp(`^${reason}: `));
  });

  it("refuses post only with what trades at once", () => {
    const faults = findFaults({ ...DRAFT, isPostOnly: true, force: "IOC" }, RULES);
    expect(faults.force).toMatch(/^INVALID_COMBINATION: /);
    expect(findFaults({ ...DRAFT, isPostOnly: true }, RULES)).toEqual({});
  });

  it("is sent with its price as it was written, and a market order without one", () => {
    expect(bodyOf({ ...DRAFT, price: " 187.2 " }, "page-1")).toEqual({
      client_order_id: "page-1",
      ticker: "AAPL",
      side: "BUY",
      order_type: "LIMIT",
      time_in_force: "GTC",
      post_only: false,
      price: "187.2",
      quantity: 100,
      self_trade_prevention: "CANCEL_RESTING",
    });
    const market = bodyOf({ ...DRAFT, type: "MARKET", force: "GTC" }, "page-2");
    expect([market["time_in_force"], "price" in market]).toEqual(["IOC", false]);
  });

  const problem = (reason: string) => ({ reason, title: "Why", detail: "what to do" });

  it.each([
    [201, SAID, "placed"],
    [201, {}, "unknown"],
    [202, { status: "PENDING_NEW" }, "taken"],
    [422, problem("OFF_TICK"), "refused"],
    [401, problem("KEY_REFUSED"), "refused"],
    [429, problem("RATE_LIMITED"), "refused"],
    [503, problem("LOG_UNAVAILABLE"), "refused"],
    [504, problem("OUTCOME_UNKNOWN"), "unknown"],
    [500, problem("INTERNAL_ERROR"), "unknown"],
    [502, null, "unknown"],
    [404, "a proxy's page", "unknown"],
  ])("answered with %i %j is %s", (status, body, kind) => {
    expect(judge(status, body).kind).toBe(kind);
  });

  it("does not take the refusal of a later try for the fate of an earlier one", () => {
    const told = (status: number, reason: string) => readProblem("/orders", status, problem(reason));
    for (const [status, reason] of [[503, "LOG_UNAVAILABLE"], [401, "KEY_REFUSED"]] as const) {
      expect(isSettledBy(told(status, reason), false)).toBe(true);
      expect(isSettledBy(told(status, reason), true)).toBe(false);
    }
    expect(isSettledBy(told(422, "OFF_TICK"), true)).toBe(true);
  });

  it("tells an order in a line, and a problem as it was given", () => {
    expect(tellOrder(readOrder(SAID))).toBe("BUY 100 AAPL at 187.25: NEW");
    const filled = { ...SAID, cumulative_quantity: 40, average_price: "187.200000", price: null };
    expect(tellOrder(readOrder({ ...filled, status: "CANCELED", reason: "IOC_REMAINDER" }))).toBe(
      "BUY 100 AAPL at market: CANCELED, 40 filled at 187.200000, IOC_REMAINDER",
    );
    expect(tellProblem(readProblem("/x", 422, problem("OFF_TICK")))).toBe(
      "OFF_TICK: Why. what to do",
    );
    expect(tellProblem(readProblem("/x", 502, null))).toBe("/x was answered with 502");
  });
});

describe("own orders", () => {
  it("follow the reports, and none of an older or another's changes anything", () => {
    const own = new OwnOrders();
    own.begin([order("A", "NEW", 2), order("B", "NEW", 3)]);
    own.hear(order("A", "PARTIALLY_FILLED", 5));
    own.hear(order("A", "NEW", 4));
    own.hear(order("C", "NO_ORDER", 6));
    expect(own.open.map(({ orderId, status }) => [orderId, status])).toEqual([
      ["B", "NEW"],
      ["A", "PARTIALLY_FILLED"],
    ]);
    own.hear(order("A", "FILLED", 7));
    own.hear(order("A", "PARTIALLY_FILLED", 6));
    expect(own.open.map(({ orderId }) => orderId)).toEqual(["B"]);
    expect(own.ended.map(({ orderId, status }) => [orderId, status])).toEqual([["A", "FILLED"]]);
  });

  it("begin anew after a reconnect, with what ended meanwhile", () => {
    const own = new OwnOrders();
    own.begin([order("A", "NEW", 2), order("B", "NEW", 3)]);
    own.begin([order("B", "NEW", 3)]);
    own.recall([order("A", "CANCELED", 9), order("B", "NEW", 3), order("Z", "REJECTED", 1)]);
    expect(own.open.map(({ orderId }) => orderId)).toEqual(["B"]);
    expect(own.ended.map(({ orderId }) => orderId)).toEqual(["A", "Z"]);
    own.recall([order("B", "CANCELED", 2)]);
    expect(own.open).toHaveLength(1);
  });

  it("keep the last few that ended", () => {
    const own = new OwnOrders();
    for (let n = 1; n <= 3 * ENDED_MAX; n += 1) own.hear(order(`A-${n}`, "FILLED", n));
    expect(own.ended).toHaveLength(ENDED_MAX);
    expect(own.ended[0]?.sequence).toBe(3 * ENDED_MAX);
  });

  it("are read strictly, and an account's state is none", () => {
    expect(readReport({ kind: "ACCOUNT_STATE" })).toBeNull();
    expect(() => readReport({ kind: "EXECUTION", order_id: 7 })).toThrow(BadMessageError);
    expect(isLive(readOrder({ ...SAID, status: "PENDING_NEW" }))).toBe(true);
  });
});

describe("a standing", () => {
  const money = { used: "1234567.5", max: "2000000.00", left: "765432.50" };

  it("tells of each limit what is used and what is left", () => {
    const found = readStanding({
      exposure: money,
      positions: [
        {
          ticker: "AAPL",
          position: -40,
          mark: "187.00",
          shares: { used: 1_200, max: 5_000, left: 3_800 },
          money: { used: null, max: null, left: null },
        },
      ],
    });
    expect(found.exposure.text).toBe("$1,234,567.50 of $2,000,000 used, $765,432.50 left");
    expect([found.exposure.used, found.exposure.max]).toEqual([12_345_675_000, 20_000_000_000]);
    expect(found.positions[0]?.shares.text).toBe("1,200 of 5,000 used, 3,800 left");
    expect(found.positions[0]?.money.text).toBe("used: not known until the next report");
    const unlimited = readStanding({ exposure: { ...money, max: null, left: null }, positions: [] });
    expect(unlimited.exposure.text).toBe("$1,234,567.50 used, the limit is not known");
  });

  it.each([
    ["0.00", "$0"],
    ["-1234.5", "-$1,234.50"],
    ["99999999999.1234", "$99,999,999,999.1234"],
  ])("money %s is %s", (text, shown) => {
    expect(formatMoney(text)).toBe(shown);
  });
});

describe("the exchange's status", () => {
  const unknown = { state: "unknown", reason: "Kafka does not answer" };
  const stage = { room: "risk", topic: "accounts", behind: 0, reason: null };
  const audit = {
    audited_at_us: 0,
    holds: true,
    records: 1_500,
    digest: "ab",
    first_difference: "",
  };
  const said = {
    stages: { state: "known", reason: null, stages: [stage] },
    snapshots: {
      state: "known",
      reason: null,
      rooms: [{ room: "risk", partitions: 4, newest_at_us: 60_000_000, oldest_at_us: 0 }],
    },
    audit: { state: "known", reason: null, last: audit },
  };
  const values = (data: object) =>
    Object.fromEntries(
      Object.entries(readStatus({ ...said, ...data }, 120_000_000)).map(([name, part]) => [
        name,
        [part.unknown, part.lines.map(({ value, tone }: { value: string; tone: string }) => `${tone} ${value}`)],
      ]),
    );

  it("tells each part", () => {
    expect(values({})).toEqual({
      stages: [null, ["good up to date"]],
      snapshots: [null, ["good 60 s ago; of 4 partitions the oldest 2 min"]],
      audit: [null, ["good everything follows from the log", "good 2 min ago", "good 1,500", "good ab"]],
    });
  });

  it("calls nothing good that is not known, late, or not whole", () => {
    const stages = [
      { ...stage, behind: 5_000 },
      { ...stage, behind: null, reason: "it has read nothing yet" },
    ];
    const broken = { ...audit, holds: false, first_difference: "trades/0 at offset 7 (rows)" };
    const found = values({
      stages: { state: "known", reason: null, stages },
      snapshots: { ...unknown, rooms: [] },
      audit: { state: "known", reason: null, last: broken },
    });
    expect(found["stages"]).toEqual([
      null,
      ["bad 5,000 behind", "unsure unknown: it has read nothing yet"],
    ]);
    expect(found["snapshots"]).toEqual(["Kafka does not answer", []]);
    expect(found["audit"]?.[1]?.[0]).toBe("bad trades/0 at offset 7 (rows)");
    expect(values({ audit: { state: "known", reason: null, last: null } })["audit"]).toEqual([
      null,
      ["unsure none was kept yet; outcry audit makes one"],
    ]);
  });
});
