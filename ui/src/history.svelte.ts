import type { CapsuleUse, Figures, Gpu, GpuFigures } from "./bindings";
import { now } from "./now.svelte";

/** The last readings of a card, oldest first. Kept by the page alone: nothing of it is saved. */
export type History = { load: number[]; heat: number[]; memory: number[] };

const LENGTH = 60;

/** Figures come every two seconds; what is older than this is no longer live. */
const LIVE_FOR_MS = 15_000;

export const histories: Record<string, History> = $state({});

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

/** Takes note of what the cards do now. A line begins anew where its card was not heard: it would join what does not meet. */
export function remember(figures: Figures | null, gpus: Gpu[]): void {
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
