import type { CapsuleUse, Figures, Gpu, GpuFigures, View } from "../bindings";

/** What a played scene's cards do, `ticks` readings ago. */
export function played(view: View, ticks: number): Figures | null {
  if (view.link !== "connected" || !view.snapshot.hardware) return null;
  const busy = view.snapshot.phase.phase === "earning";
  const gpus = view.snapshot.hardware.gpus.filter((gpu) => gpu.state.is !== "out");
  const at = Date.now() - ticks * 2000;
  return {
    at,
    gpus: gpus.map((gpu, index) => card(gpu, busy, index, ticks)),
    capsule: view.snapshot.wall && view.snapshot.may_run ? capsule(at, busy) : null,
  };
}

/** Traffic rises with the time, as a job's does. */
function capsule(at: number, busy: boolean): CapsuleUse {
  const seconds = (at / 1000) % 3600;
  return {
    at,
    sent: (busy ? 180 + seconds / 20 : 2) * 2 ** 20,
    received: (busy ? 4_200 + seconds : 40) * 2 ** 20,
    refused: busy ? 12 : 0,
    disk_used: (busy ? 11.4 : 0.3) * 2 ** 30,
    disk_size: 60 * 2 ** 30,
    memory: (busy ? 6.2 : 0.2) * 2 ** 30,
  };
}

function card(gpu: Gpu, busy: boolean, index: number, ticks: number): GpuFigures {
  const asleep = gpu.state.is === "asleep";
  const wave = Math.round(6 * Math.sin(ticks / 3 + index) + 4 * Math.sin(ticks * 1.7));
  const load = Math.min(100, Math.max(0, (busy ? 88 : 4) + wave));
  return {
    uuid: gpu.uuid,
    asleep,
    temperature_c: asleep ? null : (busy ? 64 : 41) - Math.round(ticks / 5),
    power_mw: asleep ? null : busy ? 312_000 : 24_000,
    utilisation_percent: asleep ? null : load,
    memory_used: asleep ? null : (busy ? 7.8 : 0.6) * 2 ** 30,
    processes: [],
  };
}
