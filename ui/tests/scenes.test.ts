import { mount, unmount } from "svelte";
import { afterEach, expect, test } from "vitest";

import App from "../src/App.svelte";
import type { Backend } from "../src/backend";
import { fake } from "../src/backend/fake";
import { scenes, type Scene } from "../src/backend/scenes";
import type { Intent, View } from "../src/bindings";

let app: Record<string, unknown> | undefined;

/** The page as it stands when a scene plays, and what it asks for. */
function play(view: View): Intent[] {
  const asked: Intent[] = [];
  const backend: Backend = {
    watch: async (on) => on(view),
    ask: async (intent) => void asked.push(intent),
    start: async () => {},
  };
  app = mount(App, { target: document.body, props: { backend } });
  return asked;
}

const settled = () => new Promise((done) => setTimeout(done));
const find = (testid: string) => document.querySelector<HTMLElement>(`[data-testid="${testid}"]`);
const text = (testid: string) => find(testid)?.textContent?.trim().replace(/\s+/g, " ");

afterEach(() => {
  if (app) unmount(app);
  app = undefined;
  document.body.replaceChildren();
});

test.each(Object.keys(scenes) as Scene[])("%s says its phase once, in words", async (scene) => {
  const view = scenes[scene]();

  play(view);
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
    /\b(phase|problem|stage|action|agreement|setup|node|pc|gpu)-[a-z-]+\b/,
  );
});

test.each(Object.keys(scenes) as Scene[])(
  "%s shows each of its problems, and a rehearsal as such",
  async (scene) => {
    const view = scenes[scene]();

    play(view);
    await settled();

    if (view.link !== "connected") return;
    for (const { code } of view.snapshot.problems) expect(find(`problem-${code}`), code).not.toBeNull();
    expect(find("rehearsal") !== null).toBe(view.snapshot.rehearsal);
  },
);

test("home says what was earned, to the last digit for whoever compares", async () => {
  play(scenes.earning());
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
  ["earning", "sign-out", { intent: "sign_out" }],
  ["signed-out", "account-sign-in", { intent: "sign_in", method: "browser" }],
  ["driver-missing", "action-driver-missing", { intent: "open_link", link: "driver_download" }],
  ["settings-damaged", "action-settings-damaged", { intent: "resume" }],
] as const)("in %s, %s asks for the deed", async (scene, button, intent) => {
  const asked = play(scenes[scene]());
  await settled();

  find(button)?.click();

  expect(asked).toEqual([intent]);
});

test("what the servers do not take in is told at the step of the region", async () => {
  play(scenes["servers-unreachable"]());
  await settled();

  const step = find("problem-servers-unreachable")?.closest("li");
  expect(step?.textContent).toContain("Connection to the region");
});

test("figures that are stale say so with their age", async () => {
  play(scenes.stale());
  await settled();

  expect(text("stale")).toMatch(/^As of 3 min ago/);
});

test("a played app goes on when it is asked to", async () => {
  const seen: string[] = [];
  const backend = fake("welcome");
  await backend.watch((view) => seen.push(view.link === "connected" ? view.snapshot.phase.phase : view.link));

  await backend.ask({ intent: "sign_in", method: "browser" });

  expect(seen).toEqual(["welcome", "signing_in"]);
});
