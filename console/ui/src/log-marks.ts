// What stands out in the log: its errors, and its groups with their outline.
import { type Group, lowest, type Sight } from "./log-folds";
import type { Marks, Source } from "./log-source";

export function lasting(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export class Marked {
  errors: number[] = [];
  private count = 0;

  constructor(
    private readonly source: Source,
    private readonly sight: Sight,
    private readonly outline: HTMLElement,
    private readonly counter: HTMLElement,
    private readonly show: (line: number) => void,
  ) {}

  async load(): Promise<void> {
    if (!this.sight.total) return;
    const marks = await this.source.marks().catch(() => null);
    if (!marks) return;
    this.errors = marks.errors;
    this.count = marks.error_lines;
    const before = new Map(this.sight.groups.map((group) => [group.line, group.folded]));
    this.sight.groups = marks.groups.map((group) => this.read(group, before));
    this.sight.refold();
    this.draw();
  }

  fold(group: Group): void {
    group.folded = !group.folded;
    this.sight.refold();
  }

  // The error before or behind a line; the first one follows on the last.
  beside(line: number, forward: boolean): number | undefined {
    const { errors } = this;
    const place = forward ? lowest(errors, line + 1) : lowest(errors, line) - 1;
    return errors[(place + errors.length) % errors.length];
  }

  tell(current: number): void {
    const place = this.errors.indexOf(current) + 1;
    const count = this.count.toLocaleString("en");
    this.counter.hidden = !this.errors.length;
    this.counter.querySelector("b")!.textContent = place ? `${place.toLocaleString("en")} / ${count}` : count;
  }

  private read([line, end, name, at, endAt, folded]: Marks["groups"][number], before: Map<number, boolean>): Group {
    const until = end ?? this.sight.total;
    const errors = lowest(this.errors, until) - lowest(this.errors, line);
    const seconds = endAt ? (Date.parse(endAt) - Date.parse(at)) / 1000 : null;
    // A group that went wrong stands open, whatever was asked for.
    return { line, end: until, name, seconds, errors, folded: before.get(line) ?? (folded && !errors) };
  }

  private draw(): void {
    const items = this.sight.groups.map((group) => {
      const item = document.createElement("button");
      item.type = "button";
      item.className = group.errors ? "bad" : "";
      const name = document.createElement("span");
      name.textContent = group.name || "–";
      const took = document.createElement("small");
      const errors = group.errors ? `${group.errors} ✕ ` : "";
      took.textContent = errors + (group.seconds === null ? "" : lasting(group.seconds));
      item.append(name, took);
      item.addEventListener("click", () => this.show(group.line));
      return item;
    });
    this.outline.replaceChildren(...items);
    this.outline.closest("details")!.hidden = !items.length;
  }
}
