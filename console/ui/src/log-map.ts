// Beside the log's scroll bar: where errors are, and what was found.
export class LogMap {
  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly jump: (part: number) => void,
  ) {
    canvas.addEventListener("click", (event) => this.jump(event.offsetY / canvas.clientHeight));
  }

  draw(rows: number, errors: readonly number[], hits: readonly number[]): void {
    const { canvas } = this;
    const ratio = devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    const style = getComputedStyle(canvas);
    this.ticks(errors, rows, style.color, 0, 0.5);
    this.ticks(hits, rows, style.caretColor, 0.5, 0.5);
  }

  private ticks(numbers: readonly number[], rows: number, colour: string, left: number, width: number): void {
    const pen = this.canvas.getContext("2d");
    if (!pen || !rows) return;
    pen.fillStyle = colour;
    const { width: whole, height } = this.canvas;
    let before = -1;
    for (const number of numbers) {
      const y = Math.floor((number / rows) * (height - 2));
      if (y === before) continue;
      pen.fillRect(left * whole, y, width * whole, 2 * (devicePixelRatio || 1));
      before = y;
    }
  }
}
