import type { ProblemCode, Snapshot } from "../bindings";

export type StepState = "done" | "now" | "later" | "needs-you";
export type Step = { name: string; state: StepState };

/** What stands in the way only of an agent that runs: the servers do not take it in. */
const AT_THE_REGION: ProblemCode[] = [
  "certificate-refused",
  "registration-denied",
  "servers-not-trusted",
  "servers-unreachable",
];

/** The way from an account to the region, as far as it has come. */
export function steps(snapshot: Snapshot): Step[] {
  const done: [string, boolean][] = [
    ["setup-account", isKnown(snapshot)],
    ["setup-agreement", snapshot.agreement.agreed !== null],
    ["setup-identity", snapshot.device !== null],
    ["setup-gpu", snapshot.hardware !== null],
    ["setup-agent", runs(snapshot)],
    ["setup-region", snapshot.node?.status === "ready"],
  ];
  const current = done.findIndex(([, isDone]) => !isDone);
  const stopped = snapshot.phase.phase === "blocked";
  return done.map(([name, isDone], i) => ({
    name,
    state: isDone ? "done" : i !== current ? "later" : stopped ? "needs-you" : "now",
  }));
}

function isKnown({ account, device }: Snapshot): boolean {
  return account.account === "signed_in" || account.account === "locked" || device !== null;
}

function runs({ phase }: Snapshot): boolean {
  return phase.phase === "connecting" || (phase.phase === "blocked" && AT_THE_REGION.includes(phase.code));
}
