import type { Intent, View } from "../bindings";

/** What the page needs from outside. */
export interface Backend {
  /** Calls `on` with what is true now and again at every change. */
  watch(on: (view: View) => void): Promise<void>;
  ask(intent: Intent): Promise<void>;
  /** Starts the resident program where none answers. */
  start(): Promise<void>;
}

/** The window's own, or a played scene: `?scene=earning`, and always in a browser. */
export async function pick(): Promise<Backend> {
  const scene = new URLSearchParams(location.search).get("scene");
  if (scene === null && "__TAURI_INTERNALS__" in window) return (await import("./tauri")).backend;
  return (await import("./fake")).fake(scene ?? "welcome");
}
