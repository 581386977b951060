// Which lines are in sight: all of them, those but for folded groups, or those that match.
export interface Group {
  line: number;
  end: number;
  name: string;
  seconds: number | null;
  errors: number;
  folded: boolean;
}

export class Sight {
  total = 0;
  groups: Group[] = [];
  // The lines that match, while only those are shown.
  matching: number[] | null = null;
  private hidden: [from: number, to: number][] = [];

  // Take up which groups are folded up: their lines are hidden, but for the first.
  refold(): void {
    this.hidden = [];
    for (const group of this.groups) {
      const last = this.hidden.at(-1);
      if (!group.folded || group.end - group.line < 2 || (last && group.line < last[1])) continue;
      this.hidden.push([group.line + 1, group.end]);
    }
  }

  get rows(): number {
    if (this.matching) return this.matching.length;
    return this.hidden.reduce((rows, [from, to]) => rows - (Math.min(to, this.total) - from), this.total);
  }

  lineOf(row: number): number | undefined {
    if (this.matching) return this.matching[row];
    let line = row;
    for (const [from, to] of this.hidden) {
      if (line < from) break;
      line += to - from;
    }
    return line < this.total ? line : undefined;
  }

  // The row that shows the line, or where it would be.
  rowOf(line: number): number {
    if (this.matching) return lowest(this.matching, line);
    let row = line;
    for (const [from, to] of this.hidden) {
      if (line < from) break;
      row -= Math.min(line + 1, to) - from;
    }
    return row;
  }

  // Unfold whatever hides the line.
  reveal(line: number): boolean {
    const hiding = this.groups.filter((group) => group.folded && group.line < line && line < group.end);
    for (const group of hiding) group.folded = false;
    if (hiding.length) this.refold();
    return hiding.length > 0;
  }
}

// The place of the first number that is not below the wanted one.
export function lowest(numbers: readonly number[], wanted: number): number {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}
