import type { Action, Verb } from "../bindings";

/** Whether a problem's button does anything now. Core decides that, for menu, page and command line alike. */
export function possible(action: Action, can: Verb[]): boolean {
  if (action.do === "none" || action.do === "open") return true;
  return can.includes(action.do === "detect" ? "retry" : action.do);
}
