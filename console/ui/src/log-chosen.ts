// The lines that somebody chose: they are the page's address, and can be copied.
import type { Source } from "./log-source";

const RANGE = /^#L(\d+)(?:-L?(\d+))?$/;

export class Chosen {
  range: [from: number, to: number] | null = null;

  constructor(
    private readonly bar: HTMLElement,
    private readonly source: Source,
  ) {}

  has(line: number): boolean {
    return !!this.range && this.range[0] <= line && line <= this.range[1];
  }

  // Take up what the address says; tell its first line.
  read(): number | null {
    const found = RANGE.exec(location.hash);
    if (!found) return null;
    const from = Number(found[1]) - 1;
    this.range = [from, found[2] ? Number(found[2]) - 1 : from];
    this.tell();
    return from;
  }

  choose(from: number, to: number): void {
    this.range = [Math.min(from, to), Math.max(from, to)];
    const [first, last] = this.range.map((line) => line + 1);
    history.replaceState(history.state, "", first === last ? `#L${first}` : `#L${first}-L${last}`);
    this.tell();
  }

  clear(): void {
    this.range = null;
    history.replaceState(history.state, "", location.pathname + location.search);
    this.tell();
  }

  async copyLines(): Promise<void> {
    if (this.range) await this.copy(await this.source.text(this.range[0], this.range[1] - this.range[0] + 1));
  }

  async copy(text: string): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Browsers refuse the clipboard to pages that came over plain HTTP.
      const area = document.createElement("textarea");
      area.value = text;
      this.bar.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    this.bar.classList.add("copied");
    setTimeout(() => this.bar.classList.remove("copied"), 1500);
  }

  private tell(): void {
    this.bar.hidden = !this.range;
    if (!this.range) return;
    const [first, last] = this.range.map((line) => (line + 1).toLocaleString("en"));
    this.bar.querySelector("b")!.textContent = first === last ? first : `${first}–${last}`;
  }
}
