import { refusal, type Backend } from "./backend";
import type { EarningsQuestion, JobEarned, Periods, Refused, Scope } from "./bindings";
import { boundaries, firstDayOf, type Span } from "./periods";

/** One page of jobs. */
const PAGE = 200;

/** How long an answer stays as it is before it is asked for again. */
const FRESH_FOR_MS = 60_000;

export type Shown = { moments: number[]; periods: Periods; asked: number };

/**
 * Who has scrolled further keeps the pages that they read, with what has changed on the first one and is new above it. Null where so
 * much is new that jobs between the two would be missing.
 */
function renewed(read: JobEarned[], first: JobEarned[]): JobEarned[] | null {
  const known = new Set(first.map((job) => job.allocation));
  const rest = read.filter((job) => !known.has(job.allocation));
  return rest.length < read.length ? [...first, ...rest] : null;
}

/** What the gateway's ledger says of one span and scope, as far as it has been asked. What came late of an older question is dropped. */
export class Ledger {
  span = $state<Span>("day");
  scope = $state<Scope>("this_pc");
  shown = $state.raw<Shown | null>(null);
  jobs = $state.raw<JobEarned[]>([]);
  currency = $state("");
  /** More jobs are there than have come. */
  next = $state<string | null>(null);
  /** The first page has come. */
  listed = $state(false);
  refused = $state.raw<Refused | null>(null);
  busy = $state(false);

  #ask: Backend["ask"];
  /** What the pages of jobs are of: one list has one question. */
  #of: { scope: Scope; from: number; to: number } = { scope: "this_pc", from: 0, to: 0 };
  #asked = 0;
  /** Counts what was asked anew, so that an answer to something older is known. */
  #turn = 0;
  #paging = false;
  #owner: string | null = null;

  constructor(ask: Backend["ask"]) {
    this.#ask = ask;
  }

  choose(span: Span, scope: Scope): void {
    if (span === this.span && scope === this.scope) return;
    this.span = span;
    this.scope = scope;
    this.#anew();
  }

  /** Whose PC and account this is about: of another one nothing that was shown stays. */
  belongs(to: string): void {
    if (this.#owner !== null && this.#owner !== to) this.#anew();
    this.#owner = to;
  }

  #anew(): void {
    this.shown = null;
    this.jobs = [];
    this.next = null;
    this.listed = false;
    void this.load();
  }

  /** Asks anew; what is shown stays until the answer is there. */
  async load(): Promise<void> {
    const turn = ++this.#turn;
    this.#asked = Date.now();
    const moments = boundaries(this.span, this.#asked, firstDayOf(navigator.language));
    const of = { scope: this.scope, from: moments[0] ?? 0, to: moments.at(-1) ?? 0 };
    this.busy = true;
    this.#paging = false;
    try {
      const [periods, page] = await Promise.all([
        this.#about({ by: "periods", scope: this.scope, boundaries: moments }, "periods"),
        this.#page(of, null),
      ]);
      if (turn !== this.#turn) return;
      this.shown = { moments, periods, asked: Date.now() };
      this.currency = page.currency;
      const same = of.from === this.#of.from && of.to === this.#of.to && of.scope === this.#of.scope;
      const kept = same && this.jobs.length > PAGE ? renewed(this.jobs, page.jobs) : null;
      if (kept) this.jobs = kept;
      else [this.jobs, this.next, this.#of] = [page.jobs, page.next, of];
      this.listed = true;
      this.refused = null;
    } catch (thrown) {
      if (turn === this.#turn) this.refused = refusal(thrown);
    } finally {
      if (turn === this.#turn) this.busy = false;
    }
  }

  /** Asks again when the answer has aged. */
  freshen(now: number): void {
    if (!this.busy && now - this.#asked >= FRESH_FOR_MS) void this.load();
  }

  /** Fetches the next page of jobs, one at a time. */
  async more(): Promise<void> {
    if (this.next === null || this.refused || this.#paging || this.busy) return;
    const turn = this.#turn;
    this.#paging = true;
    try {
      const page = await this.#page(this.#of, this.next);
      if (turn !== this.#turn) return;
      this.jobs = [...this.jobs, ...page.jobs];
      this.next = page.next;
    } catch (thrown) {
      if (turn === this.#turn) this.refused = refusal(thrown);
    } finally {
      if (turn === this.#turn) this.#paging = false;
    }
  }

  #page(of: { scope: Scope; from: number; to: number }, after: string | null) {
    return this.#about({ by: "jobs", ...of, after, limit: PAGE }, "jobs");
  }

  async #about<By extends "periods" | "jobs">(about: EarningsQuestion, by: By) {
    const answer = await this.#ask({ question: "earnings", about });
    if (answer.about.by !== by) throw new Error("an answer to another question");
    return answer.about as Extract<typeof answer.about, { by: By }>;
  }
}
