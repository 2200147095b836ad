import type { Snapshot } from "../bindings";

export type Screen = "underway" | "welcome" | "signing-in" | "agreement" | "setup" | "home";

/** Which screen tells a phase. A blocked one stays where the owner was. */
export function screenOf(snapshot: Snapshot): Screen {
  switch (snapshot.phase.phase) {
    case "loading":
    case "signing_out":
    case "quitting":
      return "underway";
    case "welcome":
      return "welcome";
    case "signing_in":
      return "signing-in";
    case "agreement":
      return "agreement";
    case "enrolling":
    case "detecting":
      return "setup";
    case "starting":
    case "connecting":
      return snapshot.node === null && snapshot.earnings === null ? "setup" : "home";
    case "waiting":
    case "earning":
    case "pausing":
    case "paused":
      return "home";
    case "blocked":
      return whereBlocked(snapshot);
  }
}

function whereBlocked(snapshot: Snapshot): Screen {
  if (snapshot.device === null && snapshot.account.account === "signed_out") return "welcome";
  const setUp = snapshot.hardware !== null && snapshot.node !== null;
  return setUp || snapshot.target.want === "paused" ? "home" : "setup";
}
