import type { Gpu } from "./bindings";

/** The last readings of a card, oldest first. Kept by the page alone: nothing of it is saved. */
export type History = { load: number[]; heat: number[]; memory: number[] };

const LENGTH = 60;

export const histories: Record<string, History> = $state({});

/** Takes note of what the cards say now. */
export function remember(gpus: Gpu[]): void {
  for (const { uuid, memory, sample } of gpus) {
    histories[uuid] ??= { load: [], heat: [], memory: [] };
    const history = histories[uuid];
    add(history.load, sample.utilisation_percent);
    add(history.heat, sample.temperature_c);
    add(history.memory, sample.memory_used === null ? null : (sample.memory_used / memory) * 100);
  }
}

function add(readings: number[], reading: number | null): void {
  if (reading === null) return;
  readings.push(reading);
  if (readings.length > LENGTH) readings.shift();
}
