// The log viewer. Its rows come from the server as HTML that is safe to put in (log_lines.py).
import { Chosen } from "./log-chosen";
import { type Group, Sight } from "./log-folds";
import { LogMap } from "./log-map";
import { lasting, Marked } from "./log-marks";
import { Search } from "./log-search";
import { Growth, type Hits, type Sought, Source, type Stretch } from "./log-source";
import { RowWindow } from "./log-window";

const CHUNK = 200;
const KEPT_ROWS = 4000;
const SETTLED = 40;
const KEYS: Record<string, string> = {
  e: "next-error", E: "previous-error", n: "next-hit", N: "previous-hit", f: "full", w: "wrap", o: "outline", G: "end", "@": "goto", ":": "goto",
};

function kept(name: string, otherwise: string): string {
  try {
    return localStorage.getItem(`barbeque.log.${name}`) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function keep(name: string, value: string): void {
  try {
    localStorage.setItem(`barbeque.log.${name}`, value);
  } catch {
    // A browser that keeps nothing for us starts from the defaults.
  }
}

export class LogView extends HTMLElement {
  private source!: Source;
  private window!: RowWindow;
  private map!: LogMap;
  private readonly sight = new Sight();
  private readonly rows = new Map<number, HTMLElement>();
  private readonly asked = new Set<number>();
  private marked!: Marked;
  private chosen!: Chosen;
  private found: Search | null = null;
  private growth: Growth | null = null;
  private jumps = false;
  private following = false;
  private seen = 0;
  private current = -1;
  private settle = 0;
  private box!: HTMLElement;
  private holder!: HTMLElement;

  connectedCallback(): void {
    this.source = new Source(this.dataset.path!, Number(this.dataset.attempt));
    this.box = this.find("box");
    this.holder = this.find("rows");
    this.sight.total = Number(this.dataset.end);
    this.seen = this.sight.total;
    this.adopt(this.holder);
    this.chosen = new Chosen(this.find("chosen"), this.source);
    this.marked = new Marked(this.source, this.sight, this.find("outline"), this.find("errors"), (line) => this.show(line, { choose: true }));
    this.window = new RowWindow(this.box, this.find("space"), this.holder, () => this.draw(), (down) => this.onMove(down));
    this.map = new LogMap(this.find("map"), (part) => this.window.move(part * this.sight.rows - this.window.page / 2));
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
    this.found?.close();
  }

  private find<T extends HTMLElement>(name: string): T {
    return this.querySelector<T>(`[data-part="${name}"]`)!;
  }

  private open(): void {
    this.window.resize(this.sight.rows);
    const asked = Number(this.dataset.line);
    const sought = this.sought();
    if (this.showHash()) return;
    if (sought.q || sought.stream) this.look();
    else if (asked) this.show(asked - 1);
    else {
      this.follow(this.dataset.live === "yes");
      this.window.move(this.sight.rows);
    }
  }

  // Rows

  private adopt(parent: ParentNode): void {
    for (const row of [...parent.querySelectorAll<HTMLElement>(".ll")]) {
      row.removeAttribute("id");
      this.rows.set(Number(row.dataset.n) - 1, row);
    }
  }

  private take(stretch: { html: string }): void {
    const made = document.createElement("template");
    made.innerHTML = stretch.html;
    this.adopt(made.content);
    if (this.rows.size > KEPT_ROWS) {
      const near = this.sight.lineOf(Math.floor(this.window.top)) ?? 0;
      const far = [...this.rows.keys()].sort((one, other) => Math.abs(other - near) - Math.abs(one - near));
      for (const line of far.slice(0, KEPT_ROWS / 2)) this.rows.delete(line);
    }
  }

  private draw(): void {
    if (!this.window) return;
    const first = Math.floor(this.window.top);
    const wraps = this.dataset.wrap === "on";
    const shown: HTMLElement[] = [];
    const missing = new Set<number>();
    for (let row = first; row <= first + this.window.page + 1; row++) {
      const line = this.sight.lineOf(row);
      if (line === undefined) break;
      const known = this.rows.get(line);
      if (!known && !this.sight.matching) missing.add(Math.floor(line / CHUNK));
      shown.push(this.dress(known ?? this.placeholder(line), line));
    }
    this.holder.replaceChildren(...shown);
    this.holder.style.setProperty("--digits", String(String(this.sight.total).length));
    this.holder.style.setProperty("--shift", wraps ? "0px" : `${-(this.window.top - first) * 20}px`);
    this.holder.classList.toggle("bottom", wraps && this.window.atEnd && this.window.last > 0);
    this.tellPlace();
    if (missing.size) this.fetchSoon(missing);
    if (this.found?.filters && this.found.full && this.window.atEnd) void this.found.go();
  }

  private placeholder(line: number): HTMLElement {
    const row = document.createElement("div");
    row.className = "ll absent";
    const number = document.createElement("a");
    number.className = "ln";
    number.textContent = String(line + 1);
    row.append(number);
    return row;
  }

  private dress(row: HTMLElement, line: number): HTMLElement {
    const group = this.groupAt(line);
    row.classList.toggle("here", line === this.current);
    row.classList.toggle("chosen", this.chosen.has(line));
    row.classList.toggle("g", !!group);
    row.classList.toggle("folded", !!group?.folded);
    const text = row.querySelector<HTMLElement>(".lt");
    if (group && text) text.dataset.took = group.seconds === null ? "" : lasting(group.seconds);
    if (this.dataset.times === "relative") this.tellAge(row);
    return row;
  }

  private tellAge(row: HTMLElement): void {
    const at = row.querySelector<HTMLElement>(".at");
    const base = Date.parse(this.dataset.base ?? "");
    if (!at?.title || !base) return;
    const age = (Date.parse(at.title.replace(/(\.\d{3})\d*Z/, "$1Z")) - base) / 1000;
    at.dataset.age = `${age < 0 ? "−" : "+"}${Math.abs(age).toFixed(3)}`;
  }

  private fetchSoon(chunks: Set<number>): void {
    clearTimeout(this.settle);
    this.settle = window.setTimeout(() => {
      for (const chunk of chunks) void this.fetch(chunk);
    }, SETTLED);
  }

  private async fetch(chunk: number): Promise<void> {
    if (this.asked.has(chunk)) return;
    this.asked.add(chunk);
    try {
      const marked = this.found && !this.found.filters && !this.found.fault ? this.found.sought : undefined;
      this.take(await this.source.stretch(chunk * CHUNK, CHUNK, marked && { ...marked, stream: "" }));
      this.classList.remove("cut");
    } catch {
      this.classList.add("cut");
      setTimeout(() => this.draw(), 3000);
    }
    this.asked.delete(chunk);
    this.draw();
  }

  // Places

  private show(line: number, { choose = false } = {}): void {
    if (line < 0) return;
    if (this.sight.matching && !this.sight.matching.includes(line)) this.unfilter();
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
    const first = this.sight.lineOf(Math.floor(this.window.top)) ?? 0;
    return forward ? first - 1 : first;
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
    this.take(stretch);
    this.sight.total = Math.max(this.sight.total, stretch.next);
    if (this.found && !this.found.busy) void this.found.go();
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
    this.map.draw(this.sight.total, this.marked.errors, this.found?.hits ?? []);
  }

  // Search

  private get form(): HTMLFormElement {
    return this.find<HTMLFormElement>("search");
  }

  private sought(): Sought {
    const form = new FormData(this.form);
    return { q: String(form.get("q") ?? ""), regex: form.has("regex"), case: form.has("case"), stream: String(form.get("stream") ?? "") };
  }

  // `jump` says to go to what is found first.
  private look({ jump = true } = {}): void {
    this.found?.close();
    this.jumps = jump;
    const sought = this.sought();
    const filters = !!sought.stream || (!!sought.q && this.find<HTMLInputElement>("filter").checked);
    const known = { ...sought, filter: filters && !!sought.q };
    const query = new URLSearchParams(Object.entries(known).filter(([, value]) => value).map(([name, value]) => [name, value === true ? "1" : String(value)]));
    query.set("attempt", String(this.source.attempt));
    if (this.dataset.alone === "yes") history.replaceState(history.state, "", `?${query}${location.hash}`);
    this.rows.clear();
    this.sight.matching = filters ? [] : null;
    this.classList.toggle("filtered", filters);
    this.found = sought.q || sought.stream ? new Search(this.source, sought, filters, (hits) => this.onHits(hits)) : null;
    this.window.resize(this.sight.rows);
    this.tellFound();
    void this.found?.go();
  }

  private onHits(hits: Hits): void {
    const found = this.found!;
    if (hits.html) this.take({ html: hits.html });
    if (found.filters) {
      this.sight.matching = found.hits;
      this.window.resize(this.sight.rows);
    } else if (this.jumps && found.hits.length) {
      this.jumps = false;
      const from = found.beside(Math.floor(this.window.top) - 1, true);
      if (from !== undefined) this.show(from, { choose: true });
    }
    this.tellFound();
  }

  private nextHit(forward: boolean): void {
    const line = this.found?.beside(this.here(forward), forward);
    if (line !== undefined) this.show(line, { choose: true });
    this.tellFound();
  }

  private unfilter(): void {
    this.find<HTMLInputElement>("filter").checked = false;
    this.form.querySelector<HTMLSelectElement>("[name=stream]")!.value = "";
    this.look({ jump: false });
  }

  private tellFound(): void {
    const found = this.found;
    const told = this.find("found");
    told.hidden = !found;
    if (!found) return this.tellErrors();
    const place = found.hits.indexOf(this.current) + 1;
    const count = found.hits.length.toLocaleString("en") + (found.full ? "+" : "");
    const scanned = found.busy && this.sight.total ? ` · ${Math.floor((100 * found.next) / this.sight.total)} %` : "";
    told.querySelector("b")!.textContent = found.fault || (place ? `${place.toLocaleString("en")} / ${count}` : count) + scanned;
    told.classList.toggle("wrong", !!found.fault);
    this.tellErrors();
  }

  // What people press

  private listen(): void {
    this.addEventListener("click", (event) => this.onClick(event));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.look();
      this.box.focus({ preventScroll: true });
    });
    this.form.addEventListener("change", (event) => (event.target as HTMLElement).matches("[type=search]") || this.look());
    this.find("follow").addEventListener("change", (event) => this.follow((event.target as HTMLInputElement).checked));
    this.find("times").addEventListener("change", (event) => this.switch("times", (event.target as HTMLSelectElement).value));
    this.find("wrap").addEventListener("change", (event) => this.switch("wrap", (event.target as HTMLInputElement).checked ? "on" : "off"));
    this.find("goto").addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      void this.goTo((event.target as HTMLInputElement).value.trim());
    });
    addEventListener("hashchange", () => this.isConnected && this.showHash());
    document.addEventListener("keydown", (event) => this.onKey(event), { capture: true });
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
      if (this.sight.matching) this.unfilter();
      if (event.shiftKey && this.chosen.range) this.chooseTo(line);
      else this.show(line, { choose: true });
      return;
    }
    const group = row && !target.closest("a") && getSelection()?.isCollapsed ? this.groupAt(line) : undefined;
    if (group) this.fold(group);
  }

  private onKey(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    const typing = target.matches("input, textarea, select, [contenteditable]");
    const ours = this.dataset.alone === "yes" || this.contains(target);
    if (!this.isConnected || !ours || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && (typing || this.classList.contains("full"))) {
      if (!typing) this.act("full");
      this.box.focus({ preventScroll: true });
    }
    const act = event.key === "/" ? "search" : KEYS[event.key];
    if (typing || !act) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    this.act(act);
  }

  private act(name: string): void {
    const acts: Record<string, () => unknown> = {
      top: () => (this.follow(false), this.window.move(0)),
      end: () => (this.follow(true), this.window.move(this.sight.rows)),
      news: () => this.follow(true),
      "next-error": () => this.nextError(true),
      "previous-error": () => this.nextError(false),
      "next-hit": () => this.nextHit(true),
      "previous-hit": () => this.nextHit(false),
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
