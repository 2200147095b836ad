/** What scenes are made of. */
import type { Finding, Gpu, ShareView, Sight, WallView } from "../bindings";

export const HOUR = 3_600_000;
export const ago = (ms: number) => Date.now() - ms;

export const card = (index: number, more: Partial<Gpu> = {}): Gpu => ({
  uuid: `GPU-4f9c2a10-0000-4000-8000-00000000000${index}`,
  name: "NVIDIA GeForce RTX 4090",
  memory: { kind: "own", total: 24_564 * 2 ** 20 },
  pci: `00000000:0${index + 1}:00.0`,
  state: { is: "working" },
  instances: [],
  repair_pending: false,
  ...more,
});

const FOR_JOBS: Sight[] = ["internet", "disk", "cards"];
const KEPT: Sight[] = [
  "this_pc",
  "home_network",
  "metadata",
  "mail",
  "other_jobs",
  "files",
  "names",
  "programs",
];

/** A wall as it is meant to be, but for what is said of it. */
export const wall = (but: Partial<Record<Sight, Finding>> = {}): WallView => ({
  at: ago(1.3 * HOUR),
  sights: [...FOR_JOBS, ...KEPT].map((sight) => ({
    sight,
    finding: but[sight] ?? (FOR_JOBS.includes(sight) ? "open" : "kept"),
  })),
  cards: [card(0).uuid],
});

/** Nothing chosen, on a drive with room. */
export const share = (): ShareView => ({
  chosen: { disk: null, rate: null },
  waits: false,
  disk: { least: 1, most: 423, free: 412, used: 12, size: 60, stays_larger: false },
  least_rate: 1,
  most_rate: 100_000,
});
