// A window on very many rows of one height. Browsers know no element that is high enough for ten
// million of them: beyond a limit the scroll bar stands for the whole, and wheel, keys and touch
// move by rows all the same.
export const ROW = 20;
const HIGHEST = 8_000_000;
const PAGE_KEYS: Record<string, (page: number, rows: number) => number> = {
  ArrowDown: () => 1,
  ArrowUp: () => -1,
  PageDown: (page) => page - 1,
  PageUp: (page) => 1 - page,
  Home: (_, rows) => -rows,
  End: (_, rows) => rows,
};

export class RowWindow {
  top = 0;
  rows = 0;
  private set = 0;
  // Whether we are at the end and stay there when the window becomes higher or lower.
  private held = false;
  private touched: number | null = null;

  constructor(
    readonly box: HTMLElement,
    private readonly space: HTMLElement,
    private readonly holder: HTMLElement,
    private readonly draw: () => void,
    private readonly moved: (down: boolean) => void,
  ) {
    box.addEventListener("scroll", () => this.onScroll(), { passive: true });
    box.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    box.addEventListener("keydown", (event) => this.onKey(event));
    box.addEventListener("touchstart", (event) => (this.touched = event.touches[0].clientY), { passive: true });
    box.addEventListener("touchmove", (event) => this.onTouch(event), { passive: false });
    new ResizeObserver(() => this.hold()).observe(box);
  }

  get page(): number {
    return this.box.clientHeight / ROW;
  }

  get last(): number {
    return Math.max(0, this.rows - this.page);
  }

  get atEnd(): boolean {
    return this.top >= this.last - 0.5;
  }

  private get height(): number {
    return Math.min(this.rows * ROW, HIGHEST);
  }

  private get scaled(): boolean {
    return this.rows * ROW > HIGHEST;
  }

  // Show so many rows from now on, staying where we are.
  resize(rows: number): void {
    this.rows = rows;
    this.hold();
  }

  move(top: number): void {
    this.held = top >= this.last;
    this.top = Math.max(0, Math.min(this.last, top));
    this.place();
  }

  private hold(): void {
    if (this.held) this.top = this.last;
    this.place();
  }

  private place(): void {
    this.top = Math.max(0, Math.min(this.last, this.top));
    this.space.style.height = `${this.height}px`;
    this.holder.style.height = `${this.box.clientHeight}px`;
    const room = this.height - this.box.clientHeight;
    this.box.scrollTop = this.scaled ? (this.top / this.last) * room : this.top * ROW;
    this.set = this.box.scrollTop;
    this.draw();
  }

  private onScroll(): void {
    if (Math.abs(this.box.scrollTop - this.set) < 1) return;
    const before = this.top;
    const room = this.height - this.box.clientHeight;
    this.set = this.box.scrollTop;
    this.top = this.scaled ? (this.set / room) * this.last : Math.min(this.last, this.set / ROW);
    this.held = this.atEnd;
    this.moved(this.top > before);
    this.draw();
  }

  private by(rows: number): void {
    this.move(this.top + rows);
    this.moved(rows > 0);
  }

  private onWheel(event: WheelEvent): void {
    if (!this.scaled || event.ctrlKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) return;
    event.preventDefault();
    const unit = [1, ROW, this.box.clientHeight][event.deltaMode];
    this.by((event.deltaY * unit) / ROW);
  }

  private onKey(event: KeyboardEvent): void {
    const move = PAGE_KEYS[event.key];
    if (!move || event.ctrlKey || event.altKey || event.metaKey || event.target !== this.box) return;
    event.preventDefault();
    this.by(move(Math.floor(this.page), this.rows));
  }

  private onTouch(event: TouchEvent): void {
    if (!this.scaled || this.touched === null || event.touches.length > 1) return;
    event.preventDefault();
    const y = event.touches[0].clientY;
    this.by((this.touched - y) / ROW);
    this.touched = y;
  }
}
