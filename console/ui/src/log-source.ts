// Where a log's lines come from: stretches, searches, marks, and what is new.
export interface Stretch {
  first: number;
  next: number;
  total: number | null;
  live: boolean;
  html: string;
}

export interface Marks {
  errors: number[];
  error_lines: number;
  groups: [line: number, end: number | null, name: string, at: string, endAt: string | null, folded: boolean][];
  whole: boolean;
}

export interface Hits {
  hits?: number[];
  html?: string;
  next?: number;
  full?: boolean;
  done?: boolean;
}

export interface Sought {
  q: string;
  regex: boolean;
  case: boolean;
  stream: string;
}

export class Refused extends Error {}

export class Source {
  constructor(
    readonly path: string,
    readonly attempt: number,
  ) {}

  address(part: string, query: Record<string, string | number | boolean> = {}): string {
    const all: Record<string, string | number | boolean> = { attempt: this.attempt, ...query };
    const known = Object.entries(all).filter(([, value]) => value !== "" && value !== false);
    const text = known.map(([name, value]) => [name, value === true ? "1" : String(value)]);
    return `${this.path}${part}?${new URLSearchParams(text)}`;
  }

  async stretch(first: number, count: number, sought?: Sought): Promise<Stretch> {
    return (await this.ask("/lines", { first, count, ...sought })).json();
  }

  async marks(): Promise<Marks> {
    return (await this.ask("/marks")).json();
  }

  async lineAt(time: string): Promise<number | null> {
    return (await (await this.ask("/at", { time })).json()).line;
  }

  async text(first: number, count: number): Promise<string> {
    return (await this.ask("/text", { first, count })).text();
  }

  // Tell what is found as it is found; ends when all is searched, or as many as asked for are there.
  async search(sought: Sought, query: { first?: number; rows?: number }, stop: AbortSignal, take: (found: Hits) => void): Promise<void> {
    const answer = await this.ask("/search", { ...sought, ...query }, stop);
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const lines = (rest + value).split("\n");
      rest = lines.pop()!;
      for (const line of lines) take(JSON.parse(line));
    }
  }

  private async ask(part: string, query = {}, signal?: AbortSignal): Promise<Response> {
    const answer = await fetch(this.address(part, query), { signal });
    if (answer.ok) return answer;
    throw new Refused((await answer.text()) || String(answer.status));
  }
}

// What is new in a log that grows. A cut is mended by asking on from where we are; a hidden tab rests.
export class Growth {
  private stream: EventSource | null = null;
  private timer = 0;
  private over = false;

  constructor(
    private readonly source: Source,
    private readonly at: () => number,
    private readonly grown: (stretch: Stretch) => void,
    private readonly ended: () => void,
  ) {
    document.addEventListener("visibilitychange", () => (document.hidden ? this.rest() : this.go()));
    this.go();
  }

  close(): void {
    this.over = true;
    this.rest();
  }

  private rest(): void {
    clearTimeout(this.timer);
    this.stream?.close();
    this.stream = null;
  }

  private go(): void {
    if (this.over || this.stream || document.hidden) return;
    const stream = new EventSource(this.source.address("/stream", { first: this.at() }));
    this.stream = stream;
    stream.onmessage = (event) => this.grown(JSON.parse(event.data));
    stream.addEventListener("end", () => {
      this.close();
      this.ended();
    });
    stream.onerror = () => {
      this.rest();
      this.timer = window.setTimeout(() => this.go(), 1000 + 2000 * Math.random());
    };
  }
}
