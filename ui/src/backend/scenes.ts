import type { Gpu, Job, Problem, ProblemCode, ShareView, Snapshot, Verb, View, WallView } from "../bindings";
import type { Place } from "./index";
import { HOUR, ago, card, share, wall } from "./made";

const job: Job = {
  allocation: "5f3c9e1a-2b7d-4c6e-9a10-d2f4b6c8e0a1",
  name: "render-island-7",
  status: "running",
  placed_at: ago(1.2 * HOUR),
  earned: "0.612480",
};

/** A PC that nobody has signed in on. */
const fresh: Snapshot = {
  rehearsal: false,
  phase: { phase: "welcome" },
  target: { want: "earning" },
  can: ["sign_in", "retry", "quit"],
  may_run: false,
  account: { account: "signed_out" },
  paid: null,
  agreement: { version: 1, agreed: null },
  device: null,
  hardware: null,
  node: null,
  jobs: [],
  earnings: null,
  stale_since: null,
  problems: [],
  logs: { last_shipped_at: null, waiting: 0, left_out: 0, lost_lines: 0 },
  wall: null,
  refused: null,
  share: null,
  giving_back: null,
  quit_asked: false,
};

const alice = { subject: "alice", shown: "alice@example.test" };

const signedIn: Snapshot = {
  ...fresh,
  phase: { phase: "agreement" },
  can: ["sign_out", "agree", "retry", "quit"],
  account: { account: "signed_in", name: alice, store: "keyring" },
};

const agreed: Snapshot = {
  ...signedIn,
  phase: { phase: "enrolling" },
  can: ["sign_out", "pause", "retry", "set", "quit"],
  agreement: { version: 1, agreed: { version: 1, at: ago(40 * HOUR) } },
};

const enrolled: Snapshot = {
  ...agreed,
  phase: { phase: "detecting" },
  paid: alice,
  device: {
    id: "d-8c1f0b6e2a9d4f7381c5e0a7b3d2f649",
    owner: alice,
    region: "eu",
    node_pool: "gamers",
    expires_at: Date.now() + 120 * HOUR,
    renew_at: Date.now() + 70 * HOUR,
  },
};

const detected: Snapshot = {
  ...enrolled,
  phase: { phase: "starting" },
  may_run: true,
  hardware: {
    gpus: [card(0)],
    driver: { version: "571.24", cuda: "12.8", double: false },
    cpu: { name: "AMD Ryzen 9 7900X", threads: 24 },
    memory: 64 * 2 ** 30,
    disks: [{ mount: "/", total: 931 * 2 ** 30, free: 412 * 2 ** 30 }],
    os: { family: "linux", name: "Debian GNU/Linux", version: "12", kernel: "6.1.0", arch: "x86_64" },
  },
};

const waiting: Snapshot = {
  ...detected,
  phase: { phase: "waiting" },
  node: { id: "2d8a6f10-1c3b-4e5f-8a90-b1c2d3e4f506", status: "ready", eligible: true },
  earnings: { today: "2.814020", currency: "USDC", as_of: ago(2000) },
  logs: { last_shipped_at: ago(240_000), waiting: 0, left_out: 0, lost_lines: 0 },
  wall: wall(),
  share: share(),
};

const earning: Snapshot = {
  ...waiting,
  phase: { phase: "earning" },
  jobs: [job],
  earnings: { today: "3.426500", currency: "USDC", as_of: ago(2000) },
};

const pausing: Snapshot = {
  ...earning,
  phase: { phase: "pausing" },
  target: { want: "paused", until: { end: "resumed" } },
  can: ["quit", "retry", "resume", "sign_out"],
  giving_back: "stopping_allocations",
  node: { ...waiting.node!, eligible: false },
};

const paused: Snapshot = {
  ...waiting,
  phase: { phase: "paused", until: { end: "resumed" } },
  target: { want: "paused", until: { end: "resumed" } },
  can: ["sign_out", "resume", "retry", "set", "quit"],
  may_run: false,
  wall: null,
  node: { ...waiting.node!, status: "down", eligible: false },
  earnings: { today: "3.426500", currency: "USDC", as_of: ago(2000) },
};

const problem = (code: ProblemCode, more: Partial<Problem> = {}): Problem => ({
  code,
  args: {},
  action: { do: "retry" },
  stops: "new_work",
  ...more,
});

const blocked = (before: Snapshot, first: Problem, ...others: Problem[]): Snapshot => ({
  ...before,
  phase: { phase: "blocked", code: first.code },
  problems: [first, ...others],
});

const noKeyring = problem("no-keyring", { action: { do: "none" }, stops: "nothing" });
const inAFile = { ...signedIn.account, store: "file" } as Snapshot["account"];

const signingIn = (
  method: "browser" | "device_code",
  code: boolean,
  before: Snapshot = fresh,
  offer_code = false,
): Snapshot => ({
  ...before,
  phase: before === fresh ? { phase: "signing_in" } : before.phase,
  can: [...before.can.filter((verb) => verb !== "sign_in" && verb !== "sign_out"), "cancel_sign_in"],
  account: {
    account: "signing_in",
    method,
    code: code
      ? {
          user_code: "WDJB-MJHT",
          verification_uri: "https://id.example.test/device",
          expires_at: Date.now() + 600_000,
        }
      : null,
    offer_code,
  },
});

const also = (before: Snapshot, ...more: Problem[]): Snapshot => ({
  ...before,
  problems: [...before.problems, ...more],
});

const withCards = (before: Snapshot, ...gpus: Gpu[]): Snapshot => ({
  ...before,
  hardware: { ...detected.hardware!, gpus },
});

const withShare = (
  before: Snapshot,
  more: Partial<ShareView>,
  disk: Partial<ShareView["disk"]> = {},
): Snapshot => {
  const usual = share();
  return { ...before, share: { ...usual, ...more, disk: { ...usual.disk, ...disk } } };
};

const leaving: Verb[] = ["quit"];

const of = (snapshot: Snapshot) => (): View => ({ link: "connected", snapshot });

const LONG = "a.person.with.a.long.name.indeed@a-long-name-of-a-company.example.test";

/** The wall was found open: nothing runs. */
const breached = (what: string, count: number, found: WallView): Snapshot => ({
  ...blocked(waiting, problem("wall-open", { stops: "everything", args: { what, count: String(count) } })),
  may_run: false,
  node: { ...waiting.node!, eligible: false },
  wall: found,
});

/** Every state of the window, by name. */
export const scenes = {
  loading: of({ ...fresh, phase: { phase: "loading" }, can: ["pause", "quit"], may_run: true }),
  welcome: of(fresh),
  "welcome-rehearsal": of({ ...fresh, rehearsal: true }),
  "sign-in-abandoned": of(blocked(fresh, problem("sign-in-abandoned", { action: { do: "sign_in" } }))),
  "signing-in": of(signingIn("browser", false)),
  "offer-code": of(signingIn("browser", false, fresh, true)),
  "signing-in-code-wait": of(signingIn("device_code", false)),
  "signing-in-code": of(signingIn("device_code", true)),
  agreement: of(signedIn),
  "agreement-rehearsal": of({ ...signedIn, rehearsal: true, account: inAFile, problems: [noKeyring] }),
  enrolling: of(agreed),
  detecting: of(enrolled),
  "driver-missing": of(
    blocked(enrolled, problem("driver-missing", { action: { do: "open", link: "driver_download" } })),
  ),
  "clock-wrong": of(
    blocked(agreed, problem("clock-wrong", { args: { direction: "ahead", hours: "26", minutes: "3" } })),
  ),
  "not-enrolled": of(blocked(detected, problem("not-enrolled"))),
  "certificate-refused": of(blocked(detected, problem("certificate-refused"))),
  "servers-unreachable": of(blocked(detected, problem("servers-unreachable"))),
  starting: of(detected),
  connecting: of({ ...detected, phase: { phase: "connecting" } }),
  waiting: of(waiting),
  earning: of(earning),
  "earning-rehearsal": of({
    ...earning,
    rehearsal: true,
    account: inAFile,
    problems: [noKeyring],
    earnings: { today: "0.000120", currency: "USDC", as_of: ago(2000) },
    jobs: [{ ...job, name: "example", earned: "0.000034", placed_at: ago(8000) }],
  }),
  "earning-many": of({
    ...withCards(earning, card(0), card(1)),
    jobs: [
      job,
      {
        ...job,
        allocation: "b",
        name: "a-training-run-with-a-name-that-goes-on-for-quite-a-while-longer",
        earned: "2.440000",
      },
    ],
  }),
  "earning-problem": of(
    also(
      earning,
      problem("servers-unreachable"),
      problem("card-repair-pending", {
        action: { do: "none" },
        stops: "nothing",
        args: { cards: "NVIDIA GeForce RTX 4090" },
      }),
    ),
  ),
  "earning-signing-in": of(signingIn("browser", false, earning)),
  "earning-signing-in-code": of(signingIn("device_code", true, earning)),
  "earning-offer-code": of(signingIn("browser", false, earning, true)),
  "earning-no-figures": of(earning),
  "card-asleep": of(withCards(waiting, card(0, { state: { is: "asleep" } }))),
  "card-out": of(
    also(
      withCards(
        waiting,
        card(0),
        card(1, { state: { is: "out", trouble: "needs_reset" }, name: "NVIDIA GeForce RTX 3080 Ti" }),
        card(2, { name: "NVIDIA GB10", memory: { kind: "shared" } }),
      ),
      problem("card-needs-reset", {
        action: { do: "detect" },
        stops: "nothing",
        args: { cards: "NVIDIA GeForce RTX 3080 Ti" },
      }),
    ),
  ),
  "other-account": of({
    ...blocked(
      { ...waiting, node: { ...waiting.node!, status: "down", eligible: false } },
      problem("other-account", {
        action: { do: "take_over" },
        stops: "everything",
        args: { paid: alice.shown, here: "bob@example.test" },
      }),
    ),
    account: { account: "signed_in", name: { subject: "bob", shown: "bob@example.test" }, store: "keyring" },
    can: ["sign_out", "take_over", "pause", "retry", "quit"],
    may_run: false,
  }),
  "keyring-locked": of({
    ...also(earning, problem("keyring-locked", { action: { do: "none" }, stops: "nothing" })),
    account: { account: "locked", name: alice },
    can: ["sign_in", "sign_out", "pause", "retry", "quit"],
  }),
  stale: of({
    ...also(
      earning,
      problem("gateway-down"),
      problem("log-refused", { stops: "nothing", action: { do: "none" }, args: { status: "403" } }),
    ),
    stale_since: ago(190_000),
  }),
  "stale-waiting": of({ ...blocked(waiting, problem("gateway-down")), stale_since: ago(190_000) }),
  "long-names": of({
    ...also(earning, noKeyring),
    rehearsal: true,
    account: { account: "signed_in", name: { subject: "l", shown: LONG }, store: "file" },
    paid: { subject: "l", shown: LONG },
    jobs: [{ ...job, name: "a-training-run-with-a-name-that-goes-on-for-quite-a-while-longer" }],
  }),
  "agent-missing": of(
    blocked(detected, problem("agent-missing", { action: { do: "open", link: "agent_install" } })),
  ),
  "settings-damaged": of(
    blocked(
      { ...waiting, target: paused.target, can: paused.can },
      problem("settings-damaged", { action: { do: "resume" }, stops: "everything" }),
    ),
  ),
  lost: of({
    ...blocked(paused, problem("device-lost", { action: { do: "none" }, stops: "everything" })),
    can: ["sign_out", "retry", "quit"],
  }),
  "signed-out": of({
    ...waiting,
    account: { account: "signed_out" },
    can: ["sign_in", "pause", "retry", "quit"],
  }),
  pausing: of(pausing),
  paused: of(paused),
  "paused-hour": of({
    ...paused,
    phase: { phase: "paused", until: { end: "at", at: Date.now() + HOUR } },
    target: { want: "paused", until: { end: "at", at: Date.now() + HOUR } },
  }),
  "work-still-there": of({
    ...paused,
    problems: [problem("work-still-there", { args: { left: "2" }, stops: "nothing" })],
  }),
  "quit-asked": of({ ...earning, quit_asked: true }),
  "signing-out": of({ ...pausing, phase: { phase: "signing_out" }, can: leaving }),
  quitting: of({ ...pausing, phase: { phase: "quitting" }, giving_back: "stopping_agent", can: [] }),
  "setup-underway": of({ ...pausing, phase: { phase: "pausing" }, node: null, earnings: null, jobs: [] }),
  "agreement-enrolled": of({
    ...signingIn("browser", false, waiting),
    phase: { phase: "agreement" },
    agreement: { version: 2, agreed: null },
    can: ["cancel_sign_in", "agree", "pause", "retry", "quit"],
  }),
  earnings: of(earning),
  "earnings-account": of(earning),
  "earnings-empty": of({ ...waiting, earnings: null }),
  "earnings-error": of(waiting),
  "earnings-late": of(waiting),
  "earnings-loading": of(earning),
  "earnings-many": of(earning),
  "earnings-stale": of(earning),
  "earnings-signed-out": of({
    ...paused,
    account: { account: "signed_out" },
    can: ["sign_in", "resume", "retry", "quit"],
  }),
  safety: of(earning),
  "safety-waiting": of(waiting),
  "safety-paused": of(paused),
  "safety-no-figures": of(earning),
  "safety-untried": of({ ...earning, wall: wall({ metadata: "untried", home_network: "untried" }) }),
  "safety-cut-off": of({
    ...waiting,
    wall: { ...wall({ internet: "cut_off", cards: "cut_off" }), cards: [] },
  }),
  "safety-refused": of({
    ...earning,
    ...withCards(earning, card(0), card(1, { name: "NVIDIA GeForce RTX 3080 Ti" })),
    wall: { ...wall(), cards: [card(0).uuid, card(1).uuid] },
    refused: { count: 3, what: "NetworkMode", at: ago(0.2 * HOUR) },
  }),
  "safety-open": of(breached("home-network", 1, wall({ home_network: "breach", names: "breach" }))),
  "safety-wall-untried": of({
    ...blocked(waiting, problem("wall-untried", { stops: "everything" })),
    may_run: false,
    wall: null,
  }),
  settings: of(earning),
  "settings-own": of(withShare(earning, { chosen: { disk: 120, rate: 50 }, waits: true })),
  "settings-larger": of(withShare(paused, { chosen: { disk: 40, rate: null } }, { stays_larger: true })),
  "settings-unknown": of(withShare(paused, {}, { free: null, used: null, size: null })),
  "settings-rehearsal": of({ ...earning, rehearsal: true, share: null }),
  "wall-open": of(breached("files", 0, wall({ files: "breach" }))),
  refused: of({ ...earning, refused: { count: 1, what: "Devices", at: ago(0.4 * HOUR) } }),
  ended: (): View => ({ link: "ended", clean: true }),
  "ended-not-clean": (): View => ({ link: "ended", clean: false }),
  "no-resident": (): View => ({ link: "connecting" }),
  "not-started": (): View => ({ link: "not_started", why: "ionet-supplier is not in /opt/ionet" }),
  "other-version": (): View => ({ link: "other_version" }),
} satisfies Record<string, () => View>;

export type Scene = keyof typeof scenes;

/** The place that a scene is about. */
export function opensAt(scene: Scene): Place {
  if (scene.startsWith("earnings")) return "earnings";
  if (scene.startsWith("settings") && scene !== "settings-damaged") return "settings";
  return scene.startsWith("safety") ? "safety" : "home";
}
