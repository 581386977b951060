// The rows of a log that are here: asked for as they come in sight, forgotten when they are far.
import type { Sought, Source } from "./log-source";

const CHUNK = 200;
const KEPT = 4000;
const SETTLED = 40;
const AGAIN = 3000;

export class Rows {
  // What is marked in the rows that are asked for.
  marked: Sought | undefined;
  private readonly known = new Map<number, HTMLElement>();
  private readonly asked = new Set<number>();
  private settle = 0;

  constructor(
    private readonly log: HTMLElement,
    private readonly source: Source,
    private readonly changed: () => void,
  ) {}

  adopt(parent: ParentNode): void {
    for (const row of [...parent.querySelectorAll<HTMLElement>(".ll")]) {
      row.removeAttribute("id");
      this.known.set(Number(row.dataset.n) - 1, row);
    }
  }

  // Take rows in; those far from line `near` make room.
  take(html: string, near: number): void {
    const made = document.createElement("template");
    made.innerHTML = html;
    this.adopt(made.content);
    if (this.known.size <= KEPT) return;
    const far = [...this.known.keys()].sort((one, other) => Math.abs(other - near) - Math.abs(one - near));
    for (const line of far.slice(0, KEPT / 2)) this.known.delete(line);
  }

  // The line's row; while it is not here an empty one, and it is asked for.
  at(line: number, missing: Set<number> | null): HTMLElement {
    const row = this.known.get(line);
    if (row) return row;
    missing?.add(Math.floor(line / CHUNK));
    return placeholder(line);
  }

  clear(): void {
    this.known.clear();
  }

  fetchSoon(chunks: Set<number>): void {
    clearTimeout(this.settle);
    this.settle = window.setTimeout(() => {
      for (const chunk of chunks) void this.fetch(chunk);
    }, SETTLED);
  }

  private async fetch(chunk: number): Promise<void> {
    if (this.asked.has(chunk)) return;
    this.asked.add(chunk);
    try {
      const stretch = await this.source.stretch(chunk * CHUNK, CHUNK, this.marked);
      this.take(stretch.html, chunk * CHUNK);
      this.log.classList.remove("cut");
    } catch {
      this.log.classList.add("cut");
      setTimeout(this.changed, AGAIN);
    }
    this.asked.delete(chunk);
    this.changed();
  }
}

function placeholder(line: number): HTMLElement {
  const row = document.createElement("div");
  row.className = "ll absent";
  const number = document.createElement("a");
  number.className = "ln";
  number.textContent = String(line + 1);
  row.append(number);
  return row;
}

// How long after `base` the row's line was written.
export function tellAge(row: HTMLElement, base: number): void {
  const at = row.querySelector<HTMLElement>(".at");
  if (!at?.title || !base) return;
  const age = (Date.parse(at.title.replace(/(\.\d{3})\d*Z/, "$1Z")) - base) / 1000;
  at.dataset.age = `${age < 0 ? "−" : "+"}${Math.abs(age).toFixed(3)}`;
}
