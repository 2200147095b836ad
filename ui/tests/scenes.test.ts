import { mount, unmount } from "svelte";
import { afterEach, expect, test } from "vitest";

import App from "../src/App.svelte";
import type { Backend } from "../src/backend";
import { fake } from "../src/backend/fake";
import { opensAt, scenes, type Scene } from "../src/backend/scenes";
import type { Figures, Intent, Verb, View } from "../src/bindings";
import { ledgerOf } from "../src/backend/ledger";
import { played } from "../src/backend/live";

let app: Record<string, unknown> | undefined;

/** The page as it stands when a scene plays, and what it asks for. */
function play(scene: Scene, live: (view: View) => Figures | null = (view) => played(view, 0)): Intent[] {
  const asked: Intent[] = [];
  const view = scenes[scene]();
  const backend: Backend = {
    opens: opensAt(scene),
    watch: async (on, onLive) => {
      on(view);
      onLive(live(view));
    },
    send: async (intent) => void asked.push(intent),
    ask: ledgerOf(scene),
    start: async () => {},
  };
  app = mount(App, { target: document.body, props: { backend } });
  return asked;
}

const NAMES = Object.keys(scenes) as Scene[];

const settled = () => new Promise((done) => setTimeout(done));
const find = (testid: string) => document.querySelector<HTMLElement>(`[data-testid="${testid}"]`);
const text = (testid: string) => find(testid)?.textContent?.trim().replace(/\s+/g, " ");

afterEach(() => {
  if (app) unmount(app);
  app = undefined;
  document.body.replaceChildren();
});

test.each(NAMES)("%s says its phase once, in words", async (scene) => {
  const view = scenes[scene]();

  play(scene);
  await settled();

  const phases = document.querySelectorAll<HTMLElement>('[data-testid="phase"]');
  const details = document.querySelectorAll('[data-testid="phase-detail"]');
  const expected =
    view.link === "connected" ? view.snapshot.phase.phase : `link-${view.link.replace("_", "-")}`;
  expect([...phases].map((phase) => phase.dataset.phase)).toEqual([expected]);
  expect(details.length).toBe(1);
  expect(details[0]?.textContent).toMatch(/\w/);
  // An id that has no sentence comes back as itself.
  expect(document.body.innerText).not.toMatch(
    /\b(phase|problem|step|action|agreement|setup|node|pc|gpu|earnings|nav|sign-in|account|safety|sight|live|share)-[a-z-]+\b/,
  );
});

test.each(NAMES)("%s shows each of its problems, and a rehearsal as such", async (scene) => {
  const view = scenes[scene]();

  play(scene);
  await settled();

  if (view.link !== "connected" || opensAt(scene) !== "home") return;
  for (const { code } of view.snapshot.problems) expect(find(`problem-${code}`), code).not.toBeNull();
  expect(find("rehearsal") !== null).toBe(view.snapshot.rehearsal);
});

test("home says what was earned, to the last digit for whoever compares", async () => {
  play("earning");
  await settled();

  expect(text("today")).toBe("3.42 USDC");
  expect(find("today")?.dataset.amount).toBe("3.426500");
  expect(text("job-name")).toBe("render-island-7");
  expect(text("job-earned")).toBe("0.6124 USDC");
  expect(find("node-status")?.dataset.status).toBe("ready");
});

test.each([
  ["welcome", "sign-in", { intent: "sign_in", method: "browser" }],
  ["welcome", "sign-in-code", { intent: "sign_in", method: "device_code" }],
  ["signing-in", "cancel-sign-in", { intent: "cancel_sign_in" }],
  ["signing-in-code", "open-code-page", { intent: "open_link", link: "device_code_page" }],
  ["agreement", "agree", { intent: "agree", version: 1 }],
  ["earning", "pause", { intent: "pause", until: { end: "resumed" } }],
  ["paused", "resume", { intent: "resume" }],
  ["earning", "quit", { intent: "quit", confirmed: false }],
  ["quit-asked", "quit-anyway", { intent: "quit", confirmed: true }],
  ["quit-asked", "keep-running", { intent: "keep_running" }],
  ["quit-asked", "quit-pause", { intent: "pause", until: { end: "resumed" } }],
  ["earning", "sign-out", { intent: "sign_out" }],
  ["signed-out", "account-sign-in", { intent: "sign_in", method: "browser" }],
  ["driver-missing", "action-driver-missing", { intent: "open_link", link: "driver_download" }],
  ["settings-damaged", "action-settings-damaged", { intent: "resume" }],
  ["offer-code", "sign-in-code", { intent: "sign_in", method: "device_code" }],
  ["earning-offer-code", "sign-in-code", { intent: "sign_in", method: "device_code" }],
  ["earning-signing-in", "cancel-sign-in", { intent: "cancel_sign_in" }],
  ["earning-signing-in-code", "open-code-page", { intent: "open_link", link: "device_code_page" }],
  ["other-account", "action-other-account", { intent: "take_over" }],
  ["other-account", "leave-other-account", { intent: "sign_out" }],
  ["keyring-locked", "sign-out", { intent: "sign_out" }],
  ["keyring-locked", "account-sign-in", { intent: "sign_in", method: "browser" }],
  ["loading", "pause", { intent: "pause", until: { end: "resumed" } }],
  ["earnings-error", "action-gateway-down", { intent: "retry" }],
] as const)("in %s, %s asks for the deed", async (scene, button, intent) => {
  const asked = play(scene);
  await settled();

  find(button)?.click();

  expect(asked).toEqual([intent]);
});

test("what the servers do not take in is told at the step of the region", async () => {
  play("servers-unreachable");
  await settled();

  const step = find("problem-servers-unreachable")?.closest("li");
  expect(step?.textContent).toContain("Connection to the region");
});

test("figures that are stale say so with their age", async () => {
  play("stale");
  await settled();

  expect(text("stale")).toMatch(/^As of 3 min ago/);
});

/** The buttons that do a deed, by the name that the core gives it. */
const BUTTONS: [Verb, string][] = [
  ["pause", "pause"],
  ["resume", "resume"],
  ["quit", "quit"],
  ["sign_out", "sign-out"],
  ["cancel_sign_in", "cancel-sign-in"],
  ["take_over", "action-other-account"],
];

test.each(NAMES)(
  "%s has a button for what the owner can do, and none for what they cannot",
  async (scene) => {
    const view = scenes[scene]();

    play(scene);
    await settled();

    if (view.link !== "connected") return;
    const { can } = view.snapshot;
    for (const [verb, button] of BUTTONS) expect(find(button) !== null, button).toBe(can.includes(verb));
    const ways = ["sign-in", "account-sign-in", "sign-in-code"].some((way) => find(way));
    expect(ways).toBe(can.includes("sign_in") || scene.includes("offer-code"));
    expect(document.querySelectorAll('[data-testid="pause"], [data-testid="resume"]').length).toBeLessThan(2);
  },
);

test("a job that runs beside a problem is earning, with the problem above it", async () => {
  play("earning-problem");
  await settled();

  expect(text("phase")).toBe("Earning");
  expect(text("phase-detail")).toContain("render-island-7");
  expect(find("problem-servers-unreachable")).not.toBeNull();
});

test("a sign-in on a PC that earns has a card of its own beside the PC's own state", async () => {
  play("earning-signing-in-code");
  await settled();

  expect(find("phase")?.dataset.phase).toBe("earning");
  expect(find("signing-in")?.contains(find("user-code"))).toBe(true);
});

test("a code is offered only when the browser has kept the owner waiting", async () => {
  play("signing-in");
  await settled();

  expect(find("offer-code")).toBeNull();
  expect(find("sign-in-code")).toBeNull();
});

test("the PC's card says whom it earns for", async () => {
  play("other-account");
  await settled();

  expect(text("paid")).toBe("This PC earns for alice@example.test");
  expect(text("account")).toBe("bob@example.test");
});

test("live figures are shown while they are live", async () => {
  play("earning");
  await settled();

  expect(text("gpu-load")).toMatch(/^\d+ %$/);
  expect(text("gpu-memory")).toBe("7.8 GB");
  expect(find("gpu-about")).toBeNull();
});

test.each([
  ["none come", () => null],
  ["the last are old", (view: View) => played(view, 60)],
  ["they are another card's", () => ({ at: Date.now(), gpus: [], capsule: null })],
])("no figure is shown when %s", async (_, live) => {
  play("earning", live);
  await settled();

  for (const figure of ["gpu-load", "gpu-heat", "gpu-memory"]) expect(text(figure)).toBe("–");
  expect(text("gpu-about")).toBe("No live figures right now.");
});

test("a card that sleeps is said to be asleep, and has no figures", async () => {
  play("card-asleep");
  await settled();

  expect(text("gpu-state")).toBe("Asleep");
  expect(text("gpu-load")).toBe("–");
});

test("a card that is out is said to take no jobs, and why", async () => {
  play("card-out");
  await settled();

  const out = document.querySelector('[data-testid="gpu"][data-state="out"]');
  expect(out?.textContent).toContain("RTX 3080 Ti");
  expect(out?.textContent).toContain("Takes no jobs");
  expect(out?.textContent).toContain("A graphics card needs a restart");
  expect(document.body.textContent).toContain("shares this PC’s memory");
});

test("where the PC is a device, the rail leads to the earnings and back", async () => {
  play("earning");
  await settled();

  find("nav-earnings")?.click();
  await settled();
  expect(find("earnings")).not.toBeNull();
  expect(find("phase")?.dataset.phase).toBe("earning");

  find("nav-home")?.click();
  await settled();
  expect(find("today")).not.toBeNull();
});

test.each(["welcome", "agreement", "enrolling", "quitting"] as const)("%s has no rail", async (scene) => {
  play(scene);
  await settled();

  expect(find("nav-earnings")).toBeNull();
});

test("a played app goes on when it is asked to", async () => {
  const seen: string[] = [];
  const backend = fake("welcome");
  const phase = (view: View) => (view.link === "connected" ? view.snapshot.phase.phase : view.link);
  await backend.watch(
    (view) => seen.push(phase(view)),
    () => {},
  );

  await backend.send({ intent: "sign_in", method: "browser" });

  expect(seen).toEqual(["welcome", "signing_in"]);
});
