import { mount, tick, unmount } from "svelte";
import { afterEach, expect, test } from "vitest";

import App from "../src/App.svelte";
import { ledgerOf } from "../src/backend/ledger";
import { played } from "../src/backend/live";
import { opensAt, scenes, type Scene } from "../src/backend/scenes";
import type { Figures, Intent, Share, View } from "../src/bindings";

let app: Record<string, unknown> | undefined;
let show: (view: View) => void = () => {};
let live: (figures: Figures | null) => void = () => {};

function play(scene: Scene): Intent[] {
  const asked: Intent[] = [];
  const backend = {
    opens: opensAt(scene),
    watch: async (on: (view: View) => void, onLive: (figures: Figures | null) => void) => {
      [show, live] = [on, onLive];
      on(scenes[scene]());
    },
    send: async (intent: Intent) => void asked.push(intent),
    ask: ledgerOf(scene),
    start: async () => {},
  };
  app = mount(App, { target: document.body, props: { backend } });
  return asked;
}

const settled = () => new Promise((done) => setTimeout(done));
const find = <T extends HTMLElement>(testid: string) =>
  document.querySelector<T>(`[data-testid="${testid}"]`);
const text = (testid: string) => find(testid)?.textContent?.trim().replace(/\s+/g, " ");
const field = (of: string) => find<HTMLInputElement>(`share-${of}-input`)!;

async function save(of: string, value: string): Promise<void> {
  field(of).value = value;
  field(of).dispatchEvent(new Event("input", { bubbles: true }));
  await tick();
  find(`share-${of}-save`)?.click();
  await settled();
}

/** The scene as it is once this is chosen. */
function chosen(scene: Scene, share: Share): View {
  const view = scenes[scene]() as Extract<View, { link: "connected" }>;
  return { ...view, snapshot: { ...view.snapshot, share: { ...view.snapshot.share!, chosen: share } } };
}

const pressed = (of: string) => find(`choose-${of}`)?.getAttribute("aria-pressed") === "true";

afterEach(() => {
  if (app) unmount(app);
  app = undefined;
  document.body.replaceChildren();
});

test("the rail leads to what jobs get, with what is free and taken beside it", async () => {
  play("earning");
  await settled();

  find("nav-settings")?.click();
  await settled();

  expect(find("settings")?.querySelector("h2")?.textContent).toBe("What jobs get of this PC");
  expect([text("share-disk-free"), text("share-disk-used"), text("share-disk-size")]).toEqual([
    "412 GB",
    "12 GB",
    "60 GB",
  ]);
  expect([pressed("disk-open"), pressed("rate-open")]).toEqual([true, true]);
  expect(field("disk")).toBeNull();
  live(played(scenes.earning(), 0));
  await settled();
  expect(text("share-disk-used")).toBe("11.4 GB");
});

test("a size and a cap of the owner's own are sent when they are saved, and not before", async () => {
  const asked = play("settings");
  await settled();

  find("choose-disk-own")?.click();
  find("choose-rate-own")?.click();
  await settled();
  expect(asked).toEqual([]);
  await save("disk", " 120 ");
  await save("rate", "50");

  expect(asked).toEqual([
    { intent: "set", setting: { of: "disk", to: 120 } },
    { intent: "set", setting: { of: "rate", to: 50 } },
  ]);
});

test.each([
  ["disk", "0", "Choose 1 GB or more."],
  ["disk", "424", "Choose 423 GB or less, or make room on the drive first."],
  ["disk", "80 GB", "Write a whole number, such as 80."],
  ["disk", "", "Write a whole number, such as 80."],
  ["rate", "0", "Choose 1 Mbit/s or more."],
  ["rate", "999999999", "Choose 100,000 Mbit/s or less, or no cap."],
  ["rate", "1.5", "Write a whole number, such as 50."],
])("%s: “%s” is refused with what to do, and stays to be mended", async (of, value, told) => {
  const asked = play("settings");
  await settled();
  find(`choose-${of}-own`)?.click();
  await settled();

  await save(of, value);

  expect(asked).toEqual([]);
  expect(text(`share-${of}-refused`)).toContain(told);
  expect(field(of).value).toBe(value);
  expect(field(of).getAttribute("aria-invalid")).toBe("true");

  await save(of, "20");
  expect(find(`share-${of}-refused`)).toBeNull();
  expect(asked.length).toBe(1);
});

test("what was chosen elsewhere is shown, and can be taken back", async () => {
  const asked = play("settings");
  await settled();
  show(chosen("settings", { disk: 80, rate: 50 }));
  await settled();
  expect([field("disk").value, field("rate").value]).toEqual(["80", "50"]);
  expect([pressed("disk-own"), pressed("rate-own")]).toEqual([true, true]);

  find("choose-disk-open")?.click();
  find("choose-rate-open")?.click();

  expect(asked).toEqual([
    { intent: "set", setting: { of: "disk", to: null } },
    { intent: "set", setting: { of: "rate", to: null } },
  ]);
});

test("a change elsewhere takes nothing from what is being typed", async () => {
  play("settings");
  await settled();
  find("choose-disk-own")?.click();
  await settled();
  field("disk").value = "12";
  field("disk").dispatchEvent(new Event("input", { bubbles: true }));

  show(chosen("settings", { disk: null, rate: 50 }));
  await settled();

  expect(field("disk").value).toBe("12");
});

test("what waits for the next start, and what never comes, is said", async () => {
  play("settings-own");
  await settled();
  expect(text("share-waits")).toContain("takes effect when jobs next start");
  expect(find("share-disk-stays")).toBeNull();
  if (app) unmount(app);

  play("settings-larger");
  await settled();
  expect(find("share-waits")).toBeNull();
  expect(text("share-disk-stays")).toBe(
    "Jobs’ disk holds 60 GB already and does not shrink, so the smaller size has no effect.",
  );
});

test("what nobody can tell is not made up", async () => {
  play("settings-unknown");
  live(null);
  await settled();

  for (const name of ["disk-free", "disk-used", "disk-size", "rate-received", "rate-sent"]) {
    expect(text(`share-${name}`)).toBe("–");
  }
});

test("where nothing holds jobs to a share there is nothing to set", async () => {
  play("settings-rehearsal");
  await settled();

  expect(find("share-none")).not.toBeNull();
  expect(find("choose-disk-own")).toBeNull();
});

test("how fast jobs move data is told from two readings of the same capsule", async () => {
  const view = scenes.settings();
  const reading = (ticks: number, received: number): Figures => {
    const figures = played(view, ticks)!;
    return { ...figures, capsule: { ...figures.capsule!, received, sent: 0 } };
  };
  play("settings");
  await settled();

  live(reading(2, 1_000_000));
  await settled();
  expect(text("share-rate-received")).toBe("–");

  live(reading(1, 22_000_000));
  await settled();
  expect([text("share-rate-received"), text("share-rate-sent")]).toEqual(["84 Mbit/s", "0 Mbit/s"]);

  live(reading(0, 5_000));
  await settled();
  expect(text("share-rate-received")).toBe("–");
});
