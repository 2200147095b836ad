import type { Answer, Figures, Intent, Question, Refused, View } from "../bindings";

/** What the page needs from outside. */
export interface Backend {
  /** Calls `on` with what is true now and again at every change, `live` with the cards' figures: none while there are no live ones. */
  watch(on: (view: View) => void, live: (figures: Figures | null) => void): Promise<void>;
  send(intent: Intent): Promise<void>;
  /** The answer, or a rejection with the reason: [`Refused`]. */
  ask(question: Question): Promise<Answer>;
  /** Starts the resident program where none answers. */
  start(): Promise<void>;
  /** Where a played scene opens; Home if it does not say. */
  opens?: Place;
}

/** Where the owner is, of the places that the rail leads to. */
export type Place = "home" | "earnings" | "safety" | "settings";

/** Why a question was not answered, from whatever was thrown. */
export function refusal(thrown: unknown): Refused {
  const known = typeof thrown === "object" && thrown !== null && "refused" in thrown;
  return known ? (thrown as Refused) : { refused: "no_answer" };
}

/** The window's own, or a played scene: `?scene=earning`, and always in a browser. */
export async function pick(): Promise<Backend> {
  const scene = new URLSearchParams(location.search).get("scene");
  if (scene === null && "__TAURI_INTERNALS__" in window) return (await import("./tauri")).backend;
  return (await import("./fake")).fake(scene ?? "welcome");
}
