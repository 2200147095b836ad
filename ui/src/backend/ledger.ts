import type {
  Answer,
  EarningsAnswer,
  EarningsQuestion,
  JobEarned,
  JobEnd,
  Question,
  Refused,
} from "../bindings";
import { written } from "../figures";
import type { Scene } from "./scenes";

const MINUTE = 60_000;
const HOUR = 3_600_000;

/** A job every so often, newest first, each a little shorter than the time to the next. */
type Book = { jobs: number; every: number };

const BOOKS: Partial<Record<Scene, Book>> = {
  "earnings-empty": { jobs: 0, every: HOUR },
  "earnings-many": { jobs: 10_000, every: 4 * MINUTE },
};
const USUAL: Book = { jobs: 340, every: 5 * HOUR };

const REFUSALS: Partial<Record<Scene, Refused>> = {
  "earnings-late": { refused: "too_late" },
  "earnings-error": {
    refused: "problem",
    problem: { code: "gateway-down", args: {}, action: { do: "retry" }, stops: "new_work" },
  },
};

/** What a played gateway says of what was earned. */
export function ledgerOf(scene: Scene): (question: Question) => Promise<Answer> {
  let asked = 0;
  return async ({ about }) => {
    asked += 1;
    if (scene === "earnings-loading") return new Promise(() => {});
    const refusal =
      REFUSALS[scene] ?? (scene === "earnings-stale" && asked > 2 ? { refused: "too_late" } : null);
    // Refusals cross the window's border as plain data, not as errors.
    if (refusal) return Promise.reject(refusal);
    return { answer: "earnings", about: answer(BOOKS[scene] ?? USUAL, about) };
  };
}

function answer(book: Book, question: EarningsQuestion): EarningsAnswer {
  const told = { currency: "USDC", as_of: Date.now() };
  const begin = Date.now();
  if (question.by === "periods") {
    const { boundaries: moments } = question;
    const sums = moments.slice(1).map(() => 0n);
    let period = sums.length - 1;
    for (let i = 0; i < book.jobs; i++) {
      const job = made(book, i, begin);
      while (period > 0 && job.placed_at < (moments[period] ?? 0)) period -= 1;
      if (job.placed_at >= (moments[0] ?? 0)) sums[period] = (sums[period] ?? 0n) + worth(book, i);
    }
    return { by: "periods", amounts: sums.map(written), ...told };
  }
  const from = Number(question.after ?? 0);
  const jobs: JobEarned[] = [];
  let i = from;
  for (; i < book.jobs && jobs.length < question.limit; i++) {
    const job = made(book, i, begin);
    if (job.placed_at < question.from) return { by: "jobs", jobs, next: null, ...told };
    jobs.push(job);
  }
  return { by: "jobs", jobs, next: i < book.jobs ? String(i) : null, ...told };
}

const ENDS: JobEnd[] = [
  "complete",
  "complete",
  "stopped",
  "complete",
  "failed",
  "complete",
  "lost",
  "disputed",
  "revised",
];
const LABELS = ["gaming-pc", "the-old-one-in-the-cellar-that-is-never-switched-off-at-all", "studio"];

const runs = (book: Book, i: number) => Math.round(book.every * (0.35 + 0.06 * (i % 10)));
const worth = (book: Book, i: number) => BigInt(Math.round((runs(book, i) / HOUR) * 510_000));

function made(book: Book, i: number, begin: number): JobEarned {
  const placed = begin - 20 * MINUTE - i * book.every;
  const first = i === 0;
  return {
    allocation: `5f3c9e1a-2b7d-4c6e-9a10-${String(i).padStart(12, "0")}`,
    job: `render-island-${i % 40}`,
    device: "d-8c1f0b6e2a9d4f7381c5e0a7b3d2f649",
    label: LABELS[i % LABELS.length] ?? "",
    gpu: i % 7 === 6 ? null : "rtx-4090",
    placed_at: placed,
    started_at: placed + 1500,
    ended_at: first ? null : placed + runs(book, i),
    rate_per_hour: "0.510000",
    amount: written(worth(book, i)),
    end: first ? null : (ENDS[i % ENDS.length] ?? null),
  };
}
