import { mount, unmount } from "svelte";
import { afterEach, expect, test } from "vitest";

import App from "../src/App.svelte";
import { ledgerOf } from "../src/backend/ledger";
import { played } from "../src/backend/live";
import { opensAt, scenes, type Scene } from "../src/backend/scenes";
import type { Figures, Intent, View } from "../src/bindings";

let app: Record<string, unknown> | undefined;

function play(
  scene: Scene,
  live: (view: View) => Figures | null = (view) => played(view, 0),
  view: View = scenes[scene](),
): Intent[] {
  const asked: Intent[] = [];
  const backend = {
    opens: opensAt(scene),
    watch: async (on: (view: View) => void, onLive: (figures: Figures | null) => void) => {
      on(view);
      onLive(live(view));
    },
    send: async (intent: Intent) => void asked.push(intent),
    ask: ledgerOf(scene),
    start: async () => {},
  };
  app = mount(App, { target: document.body, props: { backend } });
  return asked;
}

const settled = () => new Promise((done) => setTimeout(done));
const find = (testid: string) => document.querySelector<HTMLElement>(`[data-testid="${testid}"]`);
const text = (testid: string) => find(testid)?.textContent?.trim().replace(/\s+/g, " ");
const lines = () => [...document.querySelectorAll<HTMLElement>('[data-testid^="sight-"][data-finding]')];
const findings = () => lines().map((line) => line.dataset.finding);

afterEach(() => {
  if (app) unmount(app);
  app = undefined;
  document.body.replaceChildren();
});

test("each thing that a job could see is told once, with what is open before what is kept", async () => {
  play("safety");
  await settled();

  expect(find("safety")?.querySelector("h2")?.textContent).toBe("What can this job see?");
  expect(findings()).toEqual([...Array(3).fill("open"), ...Array(8).fill("kept")]);
  expect(new Set(lines().map((line) => line.dataset.testid)).size).toBe(11);
  expect(find("sight-internet")?.closest("section")?.textContent).toContain("Open, because jobs need it");
  expect(find("sight-files")?.closest("section")?.textContent).toContain("Kept from jobs");
  expect(text("safety-tried")).toMatch(/^Tried from a job’s place on this PC: .*\d\d:\d\d\.$/);
});

test("the cards that a job could see are told by name, and those that nobody knows by their id", async () => {
  play("safety-refused");
  await settled();
  expect(text("sight-cards-names")).toBe("NVIDIA GeForce RTX 4090, NVIDIA GeForce RTX 3080 Ti");

  if (app) unmount(app);

  const view = scenes.safety() as Extract<View, { link: "connected" }>;
  const wall = { ...view.snapshot.wall!, cards: ["GPU-of-nobodys"] };
  play("safety", () => null, { ...view, snapshot: { ...view.snapshot, wall } });
  await settled();
  expect(text("sight-cards-names")).toBe("GPU-of-nobodys");
});

test("what is open and must not be comes first, with the problem and what to do", async () => {
  const asked = play("safety-open");
  await settled();

  expect(findings().slice(0, 2)).toEqual(["breach", "breach"]);
  expect(text("problem-wall-open")).toContain(
    "Other devices in your home and one thing more could be reached",
  );
  expect(find("phase")?.dataset.phase).toBe("blocked");
  find("action-wall-open")?.click();
  expect(asked).toEqual([{ intent: "retry" }]);
});

test("what could not be tried is not said to be kept, nor what was out of reach to be open", async () => {
  play("safety-untried");
  await settled();
  const untried = find("sight-metadata")?.closest("section")?.textContent;
  expect(untried).toContain("Could not be tried");
  expect(find("sight-home-network")?.dataset.finding).toBe("untried");
  if (app) unmount(app);

  play("safety-cut-off");
  await settled();
  expect(find("sight-internet")?.closest("section")?.textContent).toContain("out of reach");
  expect(find("sight-cards-names")).toBeNull();
});

test.each(["safety-paused", "safety-wall-untried"] as const)(
  "in %s nothing is promised that nobody looked at",
  async (scene) => {
    play(scene);
    await settled();

    expect(find("safety-none")).not.toBeNull();
    expect(lines()).toEqual([]);
    expect(find("live-received")).toBeNull();
  },
);

test("traffic, disk and memory are live", async () => {
  play("safety");
  await settled();

  expect(text("live-received")).toMatch(/^\d\.\d GB$/);
  expect(text("live-sent")).toMatch(/^\d+ MB$/);
  expect([text("live-disk"), text("live-memory")]).toEqual(["11.4 GB", "6.2 GB"]);
  expect(find("safety")?.textContent).toContain("of 60 GB");
  expect(text("live-refused")).toBe("12 tries to reach closed addresses were turned back.");
});

test.each([
  ["none come", () => null],
  ["the last are old", (view: View) => played(view, 60)],
  ["there is no capsule", (view: View) => ({ ...played(view, 0)!, capsule: null })],
  [
    "the cards' are new and the capsule's are old",
    (view: View) => ({ ...played(view, 0)!, capsule: played(view, 60)!.capsule }),
  ],
])("no use is shown as live when %s", async (_, live) => {
  play("safety", live);
  await settled();

  for (const name of ["received", "sent", "disk", "memory"]) expect(text(`live-${name}`)).toBe("–");
  expect(find("safety")?.textContent).toContain("No live figures right now.");
});

test("a job that was not run is told at home and with its field, and never twice at once", async () => {
  play("refused");
  await settled();
  expect(text("refused")).toMatch(/: a job asked for more than it may have\. It was not run\.$/);
  expect(find("safety-refusals")).toBeNull();

  find("nav-safety")?.click();
  await settled();
  expect(text("safety-refusals")).toContain("What it asked for: Devices.");
  expect(find("refused")).toBeNull();
});

test("home leads to what the job can see", async () => {
  play("earning");
  await settled();
  expect(text("look")).toBe("What can this job see?");

  find("look")?.click();
  await settled();

  expect(find("safety")).not.toBeNull();
  expect(find("nav-safety")?.getAttribute("aria-current")).toBe("page");
});
