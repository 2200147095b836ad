import { FluentBundle, FluentResource } from "@fluent/bundle";

import english from "../../locales/en.ftl?raw";
import type { AccountView, Action, Phase, Problem, Refusals, Snapshot, Step } from "./bindings";
import { clock, gigabytes, LANGUAGE, moment } from "./figures";

/** Arguments that are numbers, so that a sentence can have a plural. `crates/words` keeps the same list. */
const NUMBERS = ["hours", "minutes", "left", "count"];

const bundle = new FluentBundle(LANGUAGE, { useIsolating: false });
bundle.addResource(new FluentResource(english));

/** The sentence `id`. An unknown id comes back as itself. */
export function say(id: string, args: Record<string, string | number> = {}): string {
  const pattern = bundle.getMessage(id)?.value;
  if (!pattern) return id;
  const typed = Object.entries(args).map(([name, value]) => [
    name,
    NUMBERS.includes(name) && value !== "" && !Number.isNaN(Number(value)) ? Number(value) : value,
  ]);
  return bundle.formatPattern(pattern, Object.fromEntries(typed), []);
}

/** `signing_in` as it stands in ids: `signing-in`. */
export const dashed = (name: string) => name.replaceAll("_", "-");

export const problemTitle = (problem: Problem) => say(`problem-${problem.code}-title`, problem.args);
export const problemBody = (problem: Problem) => say(`problem-${problem.code}-body`, problem.args);

/** The label of a problem's button; none where there is nothing to press. */
export function actionLabel(action: Action): string | null {
  if (action.do === "none") return null;
  const id = action.do === "open" ? `action-open-${dashed(action.link)}` : `action-${dashed(action.do)}`;
  return say(id);
}

export function phaseTitle(snapshot: Snapshot): string {
  const problem = blocking(snapshot);
  return problem ? problemTitle(problem) : say(`phase-${dashed(snapshot.phase.phase)}-title`);
}

export function phaseDetail(snapshot: Snapshot): string {
  const problem = blocking(snapshot);
  if (problem) return problemBody(problem);
  const phase: Phase = snapshot.phase;
  switch (phase.phase) {
    case "pausing":
    case "signing_out":
    case "quitting":
      return stepWords(snapshot.giving_back);
    case "signing_in":
      return signingInDetail(snapshot);
    case "paused":
      return phase.until.end === "resumed"
        ? say("pause-end-resumed")
        : say("pause-end-at", { time: clock(phase.until.at) });
    case "earning": {
      const running = snapshot.jobs.filter((job) => job.status === "running");
      const [only] = running;
      return only && running.length === 1
        ? say("phase-earning-detail", { job: only.name })
        : say("phase-earning-many-detail", { count: running.length });
    }
    default:
      return say(`phase-${dashed(phase.phase)}-detail`);
  }
}

function signingInDetail({ account }: Snapshot): string {
  if (account.account !== "signing_in") return say("phase-signing-in-detail");
  if (account.code) {
    const { verification_uri: address, user_code: code } = account.code;
    return say("phase-signing-in-code-detail", { address, code });
  }
  return say(account.method === "device_code" ? "sign-in-code-wait" : "phase-signing-in-detail");
}

/** What to do about a sign-in that is under way, for the screen or the card that shows its code. */
export function signingInBody({ method, code }: Extract<AccountView, { account: "signing_in" }>): string {
  if (method === "browser") return say("sign-in-browser-body");
  return say(code ? "sign-in-code-body" : "sign-in-code-wait");
}

/** What became of a job that asked for too much, and when. */
export const refusedWords = ({ at }: Refusals) => say("safety-refused", { time: moment(at) });

/** Bytes as a person reads them: megabytes below one gigabyte. */
export const sized = (bytes: number) =>
  bytes < 2 ** 30
    ? say("megabytes", { value: String(Math.round(bytes / 2 ** 20)) })
    : say("gigabytes", { value: gigabytes(bytes) });

export const stepWords = (step: Step | null) => say(step ? `step-${dashed(step)}` : "step-begun");

/** The problem that a blocked phase names. */
export function blocking(snapshot: Snapshot): Problem | undefined {
  const phase = snapshot.phase;
  if (phase.phase !== "blocked") return undefined;
  return snapshot.problems.find((problem) => problem.code === phase.code);
}
