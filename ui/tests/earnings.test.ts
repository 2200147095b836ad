import { mount, unmount } from "svelte";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";

import App from "../src/App.svelte";
import type { Backend } from "../src/backend";
import { ledgerOf } from "../src/backend/ledger";
import { type Scene, scenes } from "../src/backend/scenes";
import type { EarningsQuestion, JobEarned } from "../src/bindings";
import { Ledger } from "../src/earnings.svelte";
import { money, sum } from "../src/figures";

let app: Record<string, unknown> | undefined;

/** The earnings as a scene plays them, and the questions that were asked. */
async function play(scene: Scene, ask: Backend["ask"] = ledgerOf(scene)): Promise<EarningsQuestion[]> {
  const questions: EarningsQuestion[] = [];
  const backend: Backend = {
    opens: "earnings",
    watch: async (on) => on(scenes[scene]()),
    send: async () => {},
    ask: (question) => {
      questions.push(question.about);
      return ask(question);
    },
    start: async () => {},
  };
  app = mount(App, { target: document.body, props: { backend } });
  await settled();
  return questions;
}

/** Everything that was begun has had its turn. */
const settled = async () => {
  for (let turn = 0; turn < 3; turn++) await new Promise((done) => setTimeout(done));
};
const find = (testid: string) => document.querySelector<HTMLElement>(`[data-testid="${testid}"]`);
const all = (testid: string) => [...document.querySelectorAll<HTMLElement>(`[data-testid="${testid}"]`)];
const text = (testid: string) => find(testid)?.textContent?.trim().replace(/\s+/g, " ");
const scrollTo = async (top: number) => {
  const rows = document.querySelector<HTMLElement>('[role="rowgroup"]');
  if (rows) rows.getBoundingClientRect = () => ({ top: -top }) as DOMRect;
  document.dispatchEvent(new Event("scroll"));
  await settled();
};

afterEach(() => {
  if (app) unmount(app);
  app = undefined;
  document.body.replaceChildren();
});

test("the whole is the exact sum of the gateway's amounts, which the table shows one by one", async () => {
  const questions = await play("earnings");
  expect(questions[0]).toMatchObject({ by: "periods", scope: "this_pc" });

  find("as-table")?.click();
  await settled();

  const amounts = all("period-amount").map((cell) => cell.dataset.amount ?? "");
  expect(amounts.length).toBe(30);
  expect(find("earnings-total")?.dataset.amount).toBe(sum(amounts));
  expect(text("earnings-total")).toBe(`${money(sum(amounts))} USDC`);
  expect(all("period-amount").every((cell) => cell.textContent?.includes("USDC"))).toBe(true);
});

test("arrow keys read out one period after the other", async () => {
  await play("earnings");
  const bars = find("bars");
  const press = async (key: string) => {
    bars?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    await settled();
  };
  const today = text("read-out");

  await press("ArrowLeft");
  const yesterday = text("read-out");
  await press("Home");

  expect(today).toMatch(/: [\d.]+ USDC$/);
  expect(yesterday).not.toBe(today);
  expect(bars?.getAttribute("aria-valuenow")).toBe("0");
  expect(bars?.getAttribute("aria-valuetext")).toBe(text("read-out"));
});

test("another span and another scope are other questions", async () => {
  const questions = await play("earnings");

  find("choose-month")?.click();
  await settled();
  find("choose-account")?.click();
  await settled();

  const periods = questions.filter((question) => question.by === "periods");
  expect(periods.map((question) => question.boundaries.length)).toEqual([31, 13, 13]);
  expect(periods.map((question) => question.scope)).toEqual(["this_pc", "this_pc", "account"]);
  expect(document.body.textContent).toContain("gaming-pc");
});

test("jobs are asked for between the first and the last moment of the bars", async () => {
  const [periods, jobs] = await play("earnings");

  if (periods?.by !== "periods" || jobs?.by !== "jobs") throw new Error("other questions");
  expect([jobs.from, jobs.to]).toEqual([periods.boundaries[0], periods.boundaries.at(-1)]);
});

test("an answer to an older question is dropped", async () => {
  const held: (() => void)[] = [];
  const answer = ledgerOf("earnings");
  await play("earnings", async (question) => {
    const about = question.about;
    if (about.by === "periods" && about.boundaries.length > 20)
      await new Promise<void>((go) => held.push(go));
    return answer(question);
  });

  find("choose-week")?.click();
  await settled();
  const shown = find("earnings-total")?.dataset.amount;
  for (const go of held) go();
  await settled();

  expect(shown).toBeDefined();
  expect(find("earnings-total")?.dataset.amount).toBe(shown);
});

test("the account is offered only to whoever is signed in", async () => {
  await play("earnings-signed-out");

  expect(find("choose-account")).toBeNull();
  expect(find("earnings-total")).not.toBeNull();
});

test("of ten thousand jobs only what can be seen is in the page, and every page is asked for once", async () => {
  const questions = await play("earnings-many");
  const pages = () => questions.flatMap((question) => (question.by === "jobs" ? [question.after] : []));
  expect(all("earned-job").length).toBeGreaterThan(0);
  expect(pages()).toEqual([null]);

  const counts: number[] = [];
  for (let page = 1; page < 50; page++) {
    await scrollTo(page * 200 * 48 - 1500);
    counts.push(all("earned-job").length);
  }

  expect(pages().length).toBe(50);
  expect(new Set(pages()).size).toBe(50);
  expect(Math.max(...counts)).toBeLessThan(60);
  expect(Math.min(...counts)).toBeGreaterThan(0);
  const rows = all("earned-job").map((row) => Number(row.getAttribute("aria-rowindex")));
  expect(rows).toEqual(rows.map((_, i) => (rows[0] ?? 0) + i));
});

test("a job says from when to when, which card, at what rate, how much and why it ended", async () => {
  await play("earnings");

  const [running, , , , failed] = all("earned-job");
  expect(running?.textContent).toContain("still running");
  expect(running?.textContent).toContain("now");
  expect(failed?.textContent).toContain("failed");
  expect(failed?.textContent).toContain("rtx-4090");
  expect(failed?.textContent).toContain("0.51 USDC/h");
  expect(failed?.textContent).toMatch(/\d\d:\d\d – /);
});

test("an end that this version does not know is an end", async () => {
  const answer = ledgerOf("earnings");
  await play("earnings", async (question) => {
    const told = await answer(question);
    if (told.about.by === "jobs") for (const job of told.about.jobs) job.end = "evicted-by-moonlight";
    return told;
  });

  expect(document.querySelector("[data-end]")?.textContent).toBe("ended");
});

test.each([
  ["earnings-loading", "earnings-loading"],
  ["earnings-empty", "earnings-empty"],
  ["earnings-error", "problem-gateway-down"],
  ["earnings-late", "ask-again"],
] as const)("%s says so in words", async (scene, shown) => {
  await play(scene);

  expect(find(shown)).not.toBeNull();
  expect(text(shown)).toMatch(/\w/);
});

test("what was shown stays with its age when it cannot be asked for again", async () => {
  let asked = 0;
  const answer = ledgerOf("earnings");
  await play("earnings", async (question) => {
    if (++asked > 2 && question.about.by === "periods") throw { refused: "too_late" };
    return answer(question);
  });
  find("choose-day")?.click();
  const shown = find("earnings-total")?.dataset.amount;
  // The clock alone, and until the end: the page looks at it every second.
  vi.useFakeTimers({ now: Date.now() + 120_000, toFake: ["Date"] });
  onTestFinished(() => void vi.useRealTimers());
  document.dispatchEvent(new Event("visibilitychange"));
  await settled();

  expect(find("earnings-total")?.dataset.amount).toBe(shown);
  expect(text("earnings-stale")).toMatch(/^As of 2 min ago/);
  expect(find("earnings-refused")?.dataset.refused).toBe("too_late");
});

test("asking again shows what was refused before", async () => {
  let asked = 0;
  const answer = ledgerOf("earnings");
  await play("earnings", async (question) => {
    if (++asked <= 2) throw { refused: "no_answer" };
    return answer(question);
  });
  expect(text("earnings-refused")).toContain("did not answer");

  find("ask-again")?.click();
  await settled();

  expect(find("earnings-refused")).toBeNull();
  expect(find("earnings-total")).not.toBeNull();
});

test("where the problem's own way on is not possible now, the question can still be asked again", async () => {
  await play("earnings", async () => {
    const problem = { code: "session-ended", args: {}, action: { do: "sign_in" }, stops: "nothing" };
    throw { refused: "problem", problem };
  });

  expect(find("action-session-ended")).toBeNull();
  expect(find("ask-again")).not.toBeNull();
});

test("amounts that the region has not confirmed for a while say of when they are", async () => {
  const answer = ledgerOf("earnings");
  await play("earnings", async (question) => {
    const given = await answer(question);
    if (given.about.by === "periods") given.about.as_of = Date.now() - 3.5 * 3_600_000;
    return given;
  });

  expect(text("earnings-stale")).toMatch(/^As of 3 h/);
  expect(find("earnings-refused")).toBeNull();
});

test("who has scrolled on sees what has changed on the first page and what is new above it", async () => {
  const job = (name: string, amount: string) => ({ allocation: name, amount }) as JobEarned;
  let first = Array.from({ length: 200 }, (_, i) => job(`a${i}`, "0.000001"));
  const ledger = new Ledger(async ({ about }) => {
    const told = { currency: "USDC", as_of: Date.now() };
    if (about.by === "periods") return { answer: "earnings", about: { by: "periods", amounts: [], ...told } };
    const jobs = about.after === null ? first : [job("b0", "0.000001")];
    return {
      answer: "earnings",
      about: { by: "jobs", jobs, next: about.after === null ? "b" : null, ...told },
    };
  });
  await ledger.load();
  await ledger.more();

  first = [job("new", "0.000002"), job("a0", "0.000009"), ...first.slice(1, 199)];
  await ledger.load();

  const shown = ledger.jobs.map((one) => one.allocation);
  expect([shown.slice(0, 2), shown.at(-1), shown.length]).toEqual([["new", "a0"], "b0", 202]);
  expect(ledger.jobs[1]?.amount).toBe("0.000009");
});

test("who has scrolled on begins anew where more is new than a page holds, and where the days are others", async () => {
  vi.useFakeTimers({ now: new Date(2026, 10, 27, 12), toFake: ["Date"] });
  onTestFinished(() => void vi.useRealTimers());
  const jobs = (of: string, count: number) =>
    Array.from({ length: count }, (_, i) => ({ allocation: `${of}${i}`, amount: "0.000001" }) as JobEarned);
  let first = jobs("a", 200);
  const ledger = new Ledger(async ({ about }) => {
    const told = { currency: "USDC", as_of: Date.now() };
    if (about.by === "periods") return { answer: "earnings", about: { by: "periods", amounts: [], ...told } };
    const [page, next] = about.after === null ? [first, "more"] : [jobs("z", 1), null];
    return { answer: "earnings", about: { by: "jobs", jobs: page, next, ...told } };
  });
  const read = async () => {
    await ledger.load();
    await ledger.more();
    return ledger.jobs.length;
  };
  expect(await read()).toBe(201);

  first = jobs("b", 200);
  await ledger.load();
  expect([ledger.jobs.length, ledger.next]).toEqual([200, "more"]);

  expect(await read()).toBe(201);
  vi.setSystemTime(new Date(2026, 10, 28, 12));
  await ledger.load();
  expect([ledger.jobs.length, ledger.next]).toEqual([200, "more"]);
});
