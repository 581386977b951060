// The log viewer. Its rows come from the server as HTML that is safe to put in (log_lines.py).
import { Chosen } from "./log-chosen";
import { Finder } from "./log-finder";
import { type Group, Sight } from "./log-folds";
import { keep, kept } from "./log-kept";
import { watchLogKeys } from "./log-keys";
import { LogMap } from "./log-map";
import { lasting, Marked } from "./log-marks";
import { Rows, tellAge } from "./log-rows";
import { Growth, Source, type Stretch } from "./log-source";
import { RowWindow } from "./log-window";

export class LogView extends HTMLElement {
  private source!: Source;
  private window!: RowWindow;
  private map!: LogMap;
  private readonly sight = new Sight();
  private rows!: Rows;
  private marked!: Marked;
  private chosen!: Chosen;
  private finder!: Finder;
  private growth: Growth | null = null;
  private following = false;
  private seen = 0;
  private current = -1;
  private box!: HTMLElement;
  private holder!: HTMLElement;

  connectedCallback(): void {
    this.source = new Source(this.dataset.path!, Number(this.dataset.attempt));
    this.box = this.find("box");
    this.holder = this.find("rows");
    this.sight.total = Number(this.dataset.end);
    this.seen = this.sight.total;
    this.rows = new Rows(this, this.source, () => this.draw());
    this.rows.adopt(this.holder);
    this.chosen = new Chosen(this.find("chosen"), this.source);
    this.marked = new Marked(this.source, this.sight, this.find("outline"), this.find("errors"), (line) => this.show(line, { choose: true }));
    this.window = new RowWindow(this.box, this.find("space"), this.holder, () => this.draw(), (down) => this.onMove(down));
    this.map = new LogMap(this.find("map"), (part) => this.window.move(part * this.sight.rows - this.window.page / 2));
    this.finder = new Finder(this, this.find("search"), this.find("found"), this.source, this.sight, this.rows, {
      go: (line) => line !== undefined && this.show(line, { choose: true }),
      resize: () => this.window.resize(this.sight.rows),
      tell: () => this.tellErrors(),
      top: () => this.top,
      current: () => this.current,
    });
    this.classList.add("ready");
    this.switch("times", kept("times", "off"));
    this.switch("wrap", kept("wrap", "off"));
    this.listen();
    this.open();
    void this.loadMarks();
    if (this.dataset.live === "yes") this.watch();
  }

  disconnectedCallback(): void {
    this.growth?.close();
    this.finder?.close();
  }

  private find<T extends HTMLElement>(name: string): T {
    return this.querySelector<T>(`[data-part="${name}"]`)!;
  }

  private open(): void {
    this.window.resize(this.sight.rows);
    const asked = Number(this.dataset.line);
    if (this.showHash()) return;
    if (this.finder.anything) this.finder.look();
    else if (asked) this.show(asked - 1);
    else {
      this.follow(this.dataset.live === "yes");
      this.window.move(this.sight.rows);
    }
  }

  // Rows

  private draw(): void {
    if (!this.window) return;
    const first = Math.floor(this.window.top);
    const wraps = this.dataset.wrap === "on";
    const shown: HTMLElement[] = [];
    const missing = new Set<number>();
    for (let row = first; row <= first + this.window.page + 1; row++) {
      const line = this.sight.lineOf(row);
      if (line === undefined) break;
      shown.push(this.dress(this.rows.at(line, this.sight.matching ? null : missing), line));
    }
    this.holder.replaceChildren(...shown);
    this.holder.style.setProperty("--digits", String(String(this.sight.total).length));
    this.holder.style.setProperty("--shift", wraps ? "0px" : `${-(this.window.top - first) * 20}px`);
    this.holder.classList.toggle("bottom", wraps && this.window.atEnd && this.window.last > 0);
    this.tellPlace();
    if (missing.size) this.rows.fetchSoon(missing);
    if (this.window.atEnd) this.finder?.more();
  }

  private dress(row: HTMLElement, line: number): HTMLElement {
    const group = this.groupAt(line);
    row.classList.toggle("here", line === this.current);
    row.classList.toggle("chosen", this.chosen.has(line));
    row.classList.toggle("g", !!group);
    row.classList.toggle("folded", !!group?.folded);
    const text = row.querySelector<HTMLElement>(".lt");
    if (group && text) text.dataset.took = group.seconds === null ? "" : lasting(group.seconds);
    if (this.dataset.times === "relative") tellAge(row, Date.parse(this.dataset.base ?? ""));
    return row;
  }

  // Places

  private show(line: number, { choose = false } = {}): void {
    if (line < 0) return;
    if (this.sight.matching && !this.sight.matching.includes(line)) this.finder.unfilter();
    if (!this.sight.matching && this.sight.reveal(line)) this.window.resize(this.sight.rows);
    this.follow(false);
    this.current = Math.min(line, this.sight.total - 1);
    if (choose) this.chosen.choose(this.current, this.current);
    const row = this.sight.rowOf(this.current);
    const out = row < this.window.top + 1 || row > this.window.top + this.window.page - 2;
    if (out) this.window.move(row - Math.floor(this.window.page / 3));
    else this.draw();
  }

  // Where the next one is looked for from: the line that was gone to, or what is in sight.
  private here(forward: boolean): number {
    const row = this.sight.rowOf(this.current) - this.window.top;
    if (this.current >= 0 && row > -1 && row < this.window.page) return this.current;
    return forward ? this.top - 1 : this.top;
  }

  // The first line in sight.
  private get top(): number {
    return this.sight.lineOf(Math.floor(this.window.top)) ?? 0;
  }

  private showHash(): boolean {
    const from = this.sight.total ? this.chosen.read() : null;
    if (from === null) return false;
    this.show(from);
    return true;
  }

  private async goTo(text: string): Promise<void> {
    const line = /^\d+$/.test(text) ? Number(text) - 1 : await this.source.lineAt(text.replace(/^@/, ""));
    this.find("goto").classList.toggle("wrong", line === null);
    if (line !== null) this.show(line, { choose: true });
    this.box.focus({ preventScroll: true });
  }

  private tellPlace(): void {
    const first = this.sight.lineOf(Math.floor(this.window.top));
    const last = this.sight.lineOf(Math.min(this.sight.rows, Math.ceil(this.window.top + this.window.page)) - 1);
    if (first === undefined || last === undefined) return;
    const words = [first + 1, last + 1, this.sight.total].map((each) => each.toLocaleString("en"));
    this.find("place").textContent = `${words[0]}–${words[1]} / ${words[2]}`;
  }

  // Growth

  private watch(): void {
    this.growth = new Growth(this.source, () => this.sight.total, (stretch) => this.grow(stretch), () => this.end());
  }

  private grow(stretch: Stretch): void {
    this.classList.add("filled");
    this.rows.take(stretch.html, this.top);
    this.sight.total = Math.max(this.sight.total, stretch.next);
    this.finder.grow();
    this.window.resize(this.sight.rows);
    if (this.following) this.window.move(this.sight.rows);
    this.tellNews();
    this.tellErrors();
  }

  private end(): void {
    this.dataset.live = "no";
    this.following = false;
    const told = this.querySelector<HTMLElement>(".log-live");
    if (told) told.textContent = told.dataset.done!;
    void this.loadMarks();
    this.dispatchEvent(new CustomEvent("log:end", { bubbles: true }));
  }

  private follow(on: boolean): void {
    this.following = on && this.dataset.live === "yes";
    this.find<HTMLInputElement>("follow").checked = this.following;
    if (this.following) this.window.move(this.sight.rows);
    else this.seen = this.sight.total;
    this.tellNews();
  }

  private onMove(down: boolean): void {
    if (this.following && !down) this.follow(false);
    else if (down && this.window.atEnd && this.dataset.live === "yes" && !this.sight.matching) this.follow(true);
  }

  private tellNews(): void {
    const pill = this.find("news");
    const count = this.following ? 0 : this.sight.total - this.seen;
    pill.hidden = count <= 0;
    pill.querySelector("b")!.textContent = count.toLocaleString("en");
  }

  // Marks

  private async loadMarks(): Promise<void> {
    await this.marked.load();
    this.window.resize(this.sight.rows);
    this.tellErrors();
  }

  private groupAt(line: number): Group | undefined {
    return this.sight.groups.find((group) => group.line === line);
  }

  private fold(group: Group): void {
    this.marked.fold(group);
    this.window.resize(this.sight.rows);
  }

  private async nextError(forward: boolean): Promise<void> {
    if (this.dataset.live === "yes") await this.loadMarks();
    const line = this.marked.beside(this.here(forward), forward);
    if (line !== undefined) this.show(line, { choose: true });
    this.tellErrors();
  }

  private tellErrors(): void {
    this.marked.tell(this.current);
    this.map.draw(this.sight.total, this.marked.errors, this.finder.hits);
  }

  // What people press

  private listen(): void {
    this.addEventListener("click", (event) => this.onClick(event));
    this.find("search").addEventListener("submit", (event) => {
      event.preventDefault();
      this.finder.look();
      this.box.focus({ preventScroll: true });
    });
    this.find("follow").addEventListener("change", (event) => this.follow((event.target as HTMLInputElement).checked));
    this.find("times").addEventListener("change", (event) => this.switch("times", (event.target as HTMLSelectElement).value));
    this.find("wrap").addEventListener("change", (event) => this.switch("wrap", (event.target as HTMLInputElement).checked ? "on" : "off"));
    this.find("goto").addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      void this.goTo((event.target as HTMLInputElement).value.trim());
    });
    addEventListener("hashchange", () => this.isConnected && this.showHash());
    watchLogKeys(this, () => this.box.focus({ preventScroll: true }), (name) => this.act(name));
  }

  private switch(name: "times" | "wrap", value: string): void {
    this.dataset[name] = value;
    keep(name, value);
    const control = this.find<HTMLInputElement>(name);
    if (control.type === "checkbox") control.checked = value === "on";
    else control.value = value;
    this.draw();
  }

  private onClick(event: MouseEvent): void {
    const target = event.target as HTMLElement;
    const number = target.closest<HTMLAnchorElement>(".ln");
    const act = target.closest<HTMLElement>("[data-act]")?.dataset.act;
    if (act) return this.act(act);
    const row = target.closest<HTMLElement>(".ll");
    const line = Number(row?.dataset.n) - 1;
    if (number && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      if (this.sight.matching) this.finder.unfilter();
      if (event.shiftKey && this.chosen.range) this.chooseTo(line);
      else this.show(line, { choose: true });
      return;
    }
    const group = row && !target.closest("a") && getSelection()?.isCollapsed ? this.groupAt(line) : undefined;
    if (group) this.fold(group);
  }

  private act(name: string): void {
    const acts: Record<string, () => unknown> = {
      top: () => (this.follow(false), this.window.move(0)),
      end: () => (this.follow(true), this.window.move(this.sight.rows)),
      news: () => this.follow(true),
      "next-error": () => this.nextError(true),
      "previous-error": () => this.nextError(false),
      "next-hit": () => this.finder.next(this.here(true), true),
      "previous-hit": () => this.finder.next(this.here(false), false),
      search: () => this.find<HTMLInputElement>("q").select(),
      goto: () => this.find<HTMLInputElement>("goto").select(),
      wrap: () => this.switch("wrap", this.dataset.wrap === "on" ? "off" : "on"),
      outline: () => this.find("outline-switch").querySelector("summary")?.click(),
      full: () => (this.classList.toggle("full"), this.window.resize(this.sight.rows)),
      "copy-lines": () => this.chosen.copyLines(),
      "copy-link": () => this.chosen.copy(location.href),
      clear: () => this.clear(),
    };
    void acts[name]?.();
  }

  private chooseTo(line: number): void {
    this.chosen.choose(this.chosen.range![0], line);
    this.draw();
  }

  private clear(): void {
    this.current = -1;
    this.chosen.clear();
    this.draw();
  }
}

customElements.define("log-view", LogView);
