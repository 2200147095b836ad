import type { Phase } from "../bindings";

/** The product's sign. Each shape tells its state without its colour. */
export type Shape = "full" | "half" | "dashed" | "attention";

export function shapeOf(phase: Phase): Shape {
  switch (phase.phase) {
    case "earning":
    case "waiting":
      return "full";
    case "pausing":
    case "paused":
    case "signing_out":
    case "quitting":
      return "half";
    case "loading":
    case "enrolling":
    case "detecting":
    case "starting":
    case "connecting":
      return "dashed";
    case "welcome":
    case "signing_in":
    case "agreement":
    case "blocked":
      return "attention";
  }
}
