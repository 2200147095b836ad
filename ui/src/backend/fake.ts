import type { Figures, Intent, View } from "../bindings";
import type { Backend } from "./index";
import { ledgerOf } from "./ledger";
import { played } from "./live";
import { opensAt, type Scene, scenes } from "./scenes";

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
    case "take_over":
    case "resume":
    case "detect":
    case "retry":
      return ["starting", "connecting", "earning"];
    case "set":
      return [];
    case "quit":
      return intent.confirmed ? ["quitting", "ended"] : ["quit-asked"];
    case "keep_running":
      return ["earning"];
    case "open":
    case "open_link":
      return [];
  }
}

/** How many readings of the cards a scene begins with, so that their lines have a past. */
const PAST = 40;

/** Plays a scene without a resident program, a gateway or a card. */
export function fake(wanted: string): Backend {
  const scene = wanted in scenes ? (wanted as Scene) : "welcome";
  let show: (view: View) => void = () => {};
  let live: (figures: Figures | null) => void = () => {};
  let timer: ReturnType<typeof setTimeout> | undefined;
  let shown: View = scenes[scene]();
  const figures = (ticks: number) => (scene.endsWith("-no-figures") ? null : played(shown, ticks));
  const play = ([first, ...rest]: Scene[]) => {
    clearTimeout(timer);
    if (first) show((shown = scenes[first]()));
    if (rest.length) timer = setTimeout(() => play(rest), 1000);
  };
  return {
    opens: opensAt(scene),
    watch: async (onView, onLive) => {
      [show, live] = [onView, onLive];
      play([scene]);
      for (let ticks = PAST; ticks >= 0; ticks--) live(figures(ticks));
      setInterval(() => live(figures(0)), 2000);
    },
    send: async (intent) => play(next(intent)),
    ask: ledgerOf(scene),
    start: async () => play(["loading", "welcome"]),
  };
}
