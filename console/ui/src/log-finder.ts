// Finding in a log: what the form asks for, the hits told beside it, only the lines that match.
import type { Sight } from "./log-folds";
import type { Rows } from "./log-rows";
import { Search } from "./log-search";
import type { Hits, Sought, Source } from "./log-source";

// What the viewer does for what is found.
interface View {
  go(line: number | undefined): void;
  resize(): void;
  tell(): void;
  top(): number;
  current(): number;
}

export class Finder {
  private found: Search | null = null;
  private jumps = false;

  constructor(
    private readonly log: HTMLElement,
    private readonly form: HTMLFormElement,
    private readonly told: HTMLElement,
    private readonly source: Source,
    private readonly sight: Sight,
    private readonly rows: Rows,
    private readonly view: View,
  ) {
    form.addEventListener("change", (event) => (event.target as HTMLElement).matches("[type=search]") || this.look());
  }

  get hits(): number[] {
    return this.found?.hits ?? [];
  }

  // Whether the form asks for anything.
  get anything(): boolean {
    const { q, stream } = this.sought();
    return !!q || !!stream;
  }

  // `jump` says to go to what is found first.
  look({ jump = true } = {}): void {
    this.close();
    this.jumps = jump;
    const sought = this.sought();
    const filters = !!sought.stream || (!!sought.q && this.filter.checked);
    if (this.log.dataset.alone === "yes") this.keepAddress({ ...sought, filter: filters && !!sought.q });
    this.rows.clear();
    this.sight.matching = filters ? [] : null;
    this.log.classList.toggle("filtered", filters);
    this.found = this.anything ? new Search(this.source, sought, filters, (hits) => this.onHits(hits)) : null;
    this.markRows();
    this.view.resize();
    this.tell();
    void this.found?.go();
  }

  // Look on in what has been written since.
  grow(): void {
    if (this.found && !this.found.busy) void this.found.go();
  }

  // Look on behind as many matching lines as one search finds.
  more(): void {
    if (this.found?.filters && this.found.full) void this.found.go();
  }

  next(from: number, forward: boolean): void {
    this.view.go(this.found?.beside(from, forward));
    this.tell();
  }

  unfilter(): void {
    this.filter.checked = false;
    this.form.querySelector<HTMLSelectElement>("[name=stream]")!.value = "";
    this.look({ jump: false });
  }

  close(): void {
    this.found?.close();
  }

  private get filter(): HTMLInputElement {
    return this.form.querySelector<HTMLInputElement>("[data-part=filter]")!;
  }

  private sought(): Sought {
    const form = new FormData(this.form);
    return { q: String(form.get("q") ?? ""), regex: form.has("regex"), case: form.has("case"), stream: String(form.get("stream") ?? "") };
  }

  private keepAddress(asked: Record<string, string | boolean>): void {
    const said = Object.entries(asked).filter(([, value]) => value);
    const query = new URLSearchParams(said.map(([name, value]) => [name, value === true ? "1" : String(value)]));
    query.set("attempt", String(this.source.attempt));
    history.replaceState(history.state, "", `?${query}${location.hash}`);
  }

  private markRows(): void {
    const { found } = this;
    this.rows.marked = found && !found.filters && !found.fault ? { ...found.sought, stream: "" } : undefined;
  }

  private onHits(hits: Hits): void {
    const found = this.found!;
    this.markRows();
    if (hits.html) this.rows.take(hits.html, this.view.top());
    if (found.filters) {
      this.sight.matching = found.hits;
      this.view.resize();
    } else if (this.jumps && found.hits.length) {
      this.jumps = false;
      this.view.go(found.beside(this.view.top() - 1, true));
    }
    this.tell();
  }

  private tell(): void {
    const { found, told } = this;
    told.hidden = !found;
    if (found) {
      const place = found.hits.indexOf(this.view.current()) + 1;
      const count = found.hits.length.toLocaleString("en") + (found.full ? "+" : "");
      const scanned = found.busy && this.sight.total ? ` · ${Math.floor((100 * found.next) / this.sight.total)} %` : "";
      told.querySelector("b")!.textContent = found.fault || (place ? `${place.toLocaleString("en")} / ${count}` : count) + scanned;
      told.classList.toggle("wrong", !!found.fault);
    }
    this.view.tell();
  }
}
