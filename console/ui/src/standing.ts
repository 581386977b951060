// The page of an execution is kept up to date: it is asked for again when it has something new to
// say, and now and then for its times. The log beside it follows by itself.
import { byId } from "./page";

const EVERY = 1000;
const SELDOM = 5000;
const AGEING = 10000;

class Standing {
  private drawnAt = performance.now();

  constructor(private readonly source: string) {
    this.plan(EVERY);
    document.addEventListener("visibilitychange", () => document.hidden || this.plan(0));
  }

  private timer = 0;

  private plan(wait: number): void {
    clearTimeout(this.timer);
    if (this.facts.dataset.ended === "no") this.timer = window.setTimeout(() => this.look(), wait);
  }

  private get facts(): HTMLElement {
    return byId("facts")!;
  }

  // Ask what is new. A server that is away is asked again, less often.
  private async look(): Promise<void> {
    if (document.hidden) return;
    try {
      const answer = await fetch(this.source, { cache: "no-store" });
      if (answer.ok) await this.redraw(await answer.json());
      this.plan(answer.ok ? EVERY : SELDOM);
    } catch {
      this.plan(SELDOM);
    }
  }

  private async redraw(news: { stamp: string; state: string }): Promise<void> {
    const changed = news.stamp !== this.facts.dataset.stamp;
    const busy = this.facts.contains(document.activeElement) || this.facts.querySelector("details[open]");
    if (!changed && (busy || performance.now() - this.drawnAt < AGEING)) return;
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    this.drawnAt = performance.now();
    this.replace("facts", fresh);
    if (!changed) return;
    document.title = fresh.title;
    byId("spoken")!.textContent = `Now ${news.state}.`;
    this.replaceLog(fresh);
  }

  private replace(id: string, fresh: Document): void {
    const [old, made] = [byId(id)!, fresh.getElementById(id)];
    if (!made) return;
    const focused = old.contains(document.activeElement) ? document.activeElement!.id : "";
    old.replaceWith(document.adoptNode(made));
    if (focused) byId(focused)?.focus();
  }

  // The next attempt's log takes the place of the last one's, unless that one was asked for.
  private replaceLog(fresh: Document): void {
    const [old, made] = [byId("log")!, fresh.getElementById("log")];
    if (made && old.dataset.asked === "no" && made.dataset.attempt !== old.dataset.attempt) this.replace("log", fresh);
  }
}

export function watchStanding(): void {
  const source = byId("facts")?.dataset.source;
  if (source) new Standing(source);
}
