// Looking for something in all of the log: the hits as they come, and going from one to the next.
import { lowest } from "./log-folds";
import { type Hits, Refused, type Sought, type Source } from "./log-source";

const ROWS = 1000;

export class Search {
  hits: number[] = [];
  next = 0;
  full = false;
  busy = false;
  fault = "";
  private stop = new AbortController();

  constructor(
    private readonly source: Source,
    readonly sought: Sought,
    // Whether the lines come with their numbers, as only they are shown then.
    readonly filters: boolean,
    private readonly take: (found: Hits) => void,
  ) {}

  // Look on from where we are: at first, when the log has grown, or behind as many as one search finds.
  async go(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    this.full = false;
    const query = { first: this.next, ...(this.filters && { rows: ROWS }) };
    try {
      await this.source.search(this.sought, query, this.stop.signal, (found) => this.add(found));
    } catch (error) {
      if (!this.stop.signal.aborted) this.fault = error instanceof Refused ? error.message : "…";
    }
    this.busy = false;
    if (!this.stop.signal.aborted) this.take({ done: true });
  }

  close(): void {
    this.stop.abort();
  }

  // The hit before or behind a line; the first one follows on the last.
  beside(line: number, forward: boolean): number | undefined {
    const { hits } = this;
    const place = forward ? lowest(hits, line + 1) : lowest(hits, line) - 1;
    return hits[(place + hits.length) % hits.length];
  }

  private add(found: Hits): void {
    if (found.done) return;
    for (const hit of found.hits ?? []) this.hits.push(hit);
    this.next = found.next ?? this.next;
    this.full = found.full ?? false;
    this.take(found);
  }
}
