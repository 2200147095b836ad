import type { CapsuleUse, Figures, Gpu, GpuFigures } from "./bindings";
import { now } from "./now.svelte";

/** The last readings of a card, oldest first. Kept by the page alone: nothing of it is saved. */
export type History = { load: number[]; heat: number[]; memory: number[] };

const LENGTH = 60;

/** Figures come every two seconds; what is older than this is no longer live. */
const LIVE_FOR_MS = 15_000;

export const histories: Record<string, History> = $state({});

let between = $state.raw<Speeds | null>(null);

let latest = $state.raw<Figures | null>(null);

const isLive = (at: number) => now.ms - at <= LIVE_FOR_MS;

/** What this card does now; none where that is not known. */
export function liveOf(uuid: string): GpuFigures | null {
  if (!latest || !isLive(latest.at)) return null;
  return latest.gpus.find((gpu) => gpu.uuid === uuid) ?? null;
}

/** What jobs take now; none where that is not known. */
export function liveCapsule(): CapsuleUse | null {
  const capsule = latest?.capsule ?? null;
  return capsule && isLive(capsule.at) ? capsule : null;
}

/** Bits per second. */
export type Speeds = { received: number; sent: number };

/** How fast jobs move data now; none where that is not known. */
export function speeds(): Speeds | null {
  return liveCapsule() ? between : null;
}

/** From one reading to the next. A counter that falls is another capsule's. */
function speedsOf(last: CapsuleUse | null, next: CapsuleUse | null): Speeds | null {
  if (!last || !next || next.received < last.received || next.sent < last.sent) return null;
  const seconds = (next.at - last.at) / 1000;
  const rate = (from: number, to: number) => ((to - from) * 8) / seconds;
  return { received: rate(last.received, next.received), sent: rate(last.sent, next.sent) };
}

/** Takes note of what the cards do now. A line begins anew where its card was not heard: it would join what does not meet. */
export function remember(figures: Figures | null, gpus: Gpu[]): void {
  const [last, next] = [latest?.capsule ?? null, figures?.capsule ?? null];
  // The cards' figures come with the capsule's last ones as well.
  if (last?.at !== next?.at) between = speedsOf(last, next);
  latest = figures;
  const heard = new Map(figures?.gpus.map((gpu) => [gpu.uuid, gpu]));
  for (const uuid of Object.keys(histories)) if (!heard.has(uuid)) delete histories[uuid];
  for (const [uuid, sample] of heard) {
    if (sample.asleep) {
      delete histories[uuid];
      continue;
    }
    histories[uuid] ??= { load: [], heat: [], memory: [] };
    const history = histories[uuid];
    add(history.load, sample.utilisation_percent);
    add(history.heat, sample.temperature_c);
    const memory = gpus.find((gpu) => gpu.uuid === uuid)?.memory;
    const total = memory?.kind === "own" ? memory.total : null;
    add(history.memory, total && sample.memory_used !== null ? (sample.memory_used / total) * 100 : null);
  }
}

function add(readings: number[], reading: number | null): void {
  if (reading === null) return;
  readings.push(reading);
  if (readings.length > LENGTH) readings.shift();
}
