import type { Intent, View } from "../bindings";
import type { Backend } from "./index";
import { type Scene, scenes } from "./scenes";

/** What a played app does when it is asked for something: the scenes that follow, a second apart. */
function next(intent: Intent): Scene[] {
  switch (intent.intent) {
    case "sign_in":
      return intent.method === "browser" ? ["signing-in"] : ["signing-in-code"];
    case "cancel_sign_in":
      return ["welcome"];
    case "sign_out":
      return ["signing-out", "welcome"];
    case "agree":
      return ["enrolling", "detecting", "starting", "connecting", "waiting", "earning"];
    case "pause":
      return ["pausing", intent.until.end === "at" ? "paused-hour" : "paused"];
    case "resume":
    case "detect":
    case "retry":
      return ["starting", "connecting", "earning"];
    case "quit":
      return intent.confirmed ? ["quitting", "ended"] : ["quit-asked"];
    case "keep_running":
      return ["earning"];
    case "open":
    case "open_link":
      return [];
  }
}

/** The same view with its cards' readings of `ticks` ago, so that their lines have a past. */
function earlier(view: View, ticks: number): View | null {
  if (view.link !== "connected" || !view.snapshot.hardware) return null;
  const wave = Math.round(6 * Math.sin(ticks / 3) + 4 * Math.sin(ticks * 1.7));
  const gpus = view.snapshot.hardware.gpus.map((gpu) => {
    const { utilisation_percent: load, temperature_c: heat } = gpu.sample;
    const bounded = (value: number) => Math.min(100, Math.max(0, value));
    const sample = {
      ...gpu.sample,
      utilisation_percent: load === null ? null : bounded(load + wave - 4),
      temperature_c: heat === null ? null : heat - Math.round(ticks / 5),
    };
    return { ...gpu, sample };
  });
  return { ...view, snapshot: { ...view.snapshot, hardware: { ...view.snapshot.hardware, gpus } } };
}

const PAST = 40;

/** Plays a scene without a resident program, a gateway or a card. */
export function fake(scene: string): Backend {
  let show: (view: View) => void = () => {};
  let timer: ReturnType<typeof setTimeout> | undefined;
  const play = ([first, ...rest]: Scene[]) => {
    clearTimeout(timer);
    if (first) show(scenes[first]());
    if (rest.length) timer = setTimeout(() => play(rest), 1000);
  };
  return {
    watch: async (on) => {
      show = on;
      const first = scenes[scene in scenes ? (scene as Scene) : "welcome"]();
      for (let ticks = PAST; ticks > 0; ticks--) {
        const before = earlier(first, ticks);
        if (before) on(before);
      }
      play([scene in scenes ? (scene as Scene) : "welcome"]);
    },
    ask: async (intent) => play(next(intent)),
    start: async () => play(["loading", "welcome"]),
  };
}
