import type { Gpu, Job, Problem, ProblemCode, Snapshot, View } from "../bindings";

const HOUR = 3_600_000;
const ago = (ms: number) => Date.now() - ms;

const card = (index: number, load: number): Gpu => ({
  index,
  uuid: `GPU-4f9c2a10-0000-4000-8000-00000000000${index}`,
  name: "NVIDIA GeForce RTX 4090",
  memory: 24_564 * 2 ** 20,
  pci: `00000000:0${index + 1}:00.0`,
  sample: {
    temperature_c: load > 50 ? 64 : 41,
    power_mw: load > 50 ? 312_000 : 24_000,
    utilisation_percent: load,
    memory_used: load > 50 ? 7.8 * 2 ** 30 : 0.6 * 2 ** 30,
    processes: [],
  },
});

const job: Job = {
  allocation: "5f3c9e1a-2b7d-4c6e-9a10-d2f4b6c8e0a1",
  name: "render-island-7",
  status: "running",
  placed_at: ago(1.2 * HOUR),
  earned: "0.612480",
};

/** A PC that nobody has signed in on. */
const fresh: Snapshot = {
  schema: 1,
  rehearsal: false,
  phase: { phase: "welcome" },
  target: { want: "earning" },
  account: { account: "signed_out" },
  agreement: { version: 1, agreed: null },
  device: null,
  hardware: null,
  node: null,
  jobs: [],
  earnings: null,
  stale_since: null,
  problems: [],
  logs: { last_shipped_at: null, waiting: 0, left_out: 0, lost_lines: 0 },
  stage: null,
  quit_asked: false,
};

const signedIn: Snapshot = {
  ...fresh,
  phase: { phase: "agreement" },
  account: {
    account: "signed_in",
    name: { subject: "alice", shown: "alice@example.test" },
    store: "keyring",
  },
};

const agreed: Snapshot = {
  ...signedIn,
  phase: { phase: "enrolling" },
  agreement: { version: 1, agreed: { version: 1, at: ago(40 * HOUR) } },
};

const enrolled: Snapshot = {
  ...agreed,
  phase: { phase: "detecting" },
  device: {
    id: "d-8c1f0b6e2a9d4f7381c5e0a7b3d2f649",
    region: "eu",
    node_pool: "gamers",
    expires_at: Date.now() + 120 * HOUR,
    renew_at: Date.now() + 70 * HOUR,
  },
};

const detected: Snapshot = {
  ...enrolled,
  phase: { phase: "starting" },
  hardware: {
    gpus: [card(0, 3)],
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
};

const earning: Snapshot = {
  ...waiting,
  phase: { phase: "earning" },
  hardware: { ...detected.hardware!, gpus: [card(0, 92)] },
  jobs: [job],
  earnings: { today: "3.426500", currency: "USDC", as_of: ago(2000) },
};

const pausing: Snapshot = {
  ...earning,
  phase: { phase: "pausing" },
  target: { want: "paused", until: { end: "resumed" } },
  stage: "stopping_allocations",
  node: { ...waiting.node!, eligible: false },
};

const paused: Snapshot = {
  ...waiting,
  phase: { phase: "paused", until: { end: "resumed" } },
  target: { want: "paused", until: { end: "resumed" } },
  node: { ...waiting.node!, status: "down", eligible: false },
  earnings: { today: "3.426500", currency: "USDC", as_of: ago(2000) },
};

const problem = (code: ProblemCode, more: Partial<Problem> = {}): Problem => ({
  code,
  args: {},
  action: { do: "retry" },
  blocking: true,
  ...more,
});

const blocked = (before: Snapshot, first: Problem, ...others: Problem[]): Snapshot => ({
  ...before,
  phase: { phase: "blocked", code: first.code },
  problems: [first, ...others],
});

const noKeyring = problem("no-keyring", { action: { do: "none" }, blocking: false });
const inAFile = { ...signedIn.account, store: "file" } as Snapshot["account"];

const signingIn = (method: "browser" | "device_code", code: boolean): Snapshot => ({
  ...fresh,
  phase: { phase: "signing_in" },
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
  },
});

const of = (snapshot: Snapshot) => (): View => ({ link: "connected", snapshot });

/** Every state of the window, by name. */
export const scenes = {
  loading: of({ ...fresh, phase: { phase: "loading" } }),
  welcome: of(fresh),
  "welcome-rehearsal": of({ ...fresh, rehearsal: true }),
  "sign-in-abandoned": of(blocked(fresh, problem("sign-in-abandoned", { action: { do: "sign_in" } }))),
  "signing-in": of(signingIn("browser", false)),
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
    ...earning,
    hardware: { ...detected.hardware!, gpus: [card(0, 92), card(1, 71)] },
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
  stale: of({
    ...blocked(
      earning,
      problem("gateway-down"),
      problem("log-refused", { blocking: false, action: { do: "none" }, args: { status: "403" } }),
    ),
    stale_since: ago(190_000),
  }),
  "agent-missing": of(
    blocked(detected, problem("agent-missing", { action: { do: "open", link: "agent_install" } })),
  ),
  "settings-damaged": of(
    blocked({ ...waiting, target: paused.target }, problem("settings-damaged", { action: { do: "resume" } })),
  ),
  lost: of(blocked(paused, problem("device-lost", { action: { do: "none" } }))),
  "signed-out": of({ ...waiting, account: { account: "signed_out" } }),
  pausing: of(pausing),
  paused: of(paused),
  "paused-hour": of({
    ...paused,
    phase: { phase: "paused", until: { end: "at", at: Date.now() + HOUR } },
    target: { want: "paused", until: { end: "at", at: Date.now() + HOUR } },
  }),
  "work-still-there": of({
    ...paused,
    problems: [problem("work-still-there", { args: { left: "2" }, blocking: false })],
  }),
  "quit-asked": of({ ...earning, quit_asked: true }),
  "signing-out": of({ ...pausing, phase: { phase: "signing_out" } }),
  quitting: of({ ...pausing, phase: { phase: "quitting" }, stage: "stopping_agent" }),
  ended: (): View => ({ link: "ended", clean: true }),
  "ended-not-clean": (): View => ({ link: "ended", clean: false }),
  "no-resident": (): View => ({ link: "connecting" }),
  "not-started": (): View => ({ link: "not_started", why: "ionet-supplier is not in /opt/ionet" }),
  "other-version": (): View => ({ link: "other_version" }),
} satisfies Record<string, () => View>;

export type Scene = keyof typeof scenes;
