// Live updates: a page names what it shows (`data-watch`), and is told when that has changed; its
// parts with `hx-trigger="refresh"` then ask for themselves anew. What is asked for is always the
// whole part, so a cut of the line leaves no gap and brings nothing twice.
import htmx from "htmx.org";
import { byId, onShow, pathOf, root } from "./page";

const SECONDS: Record<string, number> = { "5s": 5, "30s": 30 };

let timer = 0;
let stream: HTMLElement | null = null;

let putOff = false;

// What somebody has opened is not taken away: its part is renewed when it is closed.
function refresh(): void {
  putOff = false;
  for (const part of document.querySelectorAll<HTMLElement>('[hx-trigger~="refresh"]')) {
    if (part.querySelector("details.menu[open], details.sure[open]")) putOff = true;
    else htmx.trigger(part, "refresh");
  }
}

function stop(): void {
  clearInterval(timer);
  stream?.remove();
  stream = null;
}

function start(watched: string): void {
  stop();
  const mode = root.dataset.live ?? "live";
  if (mode === "paused") return;
  if (SECONDS[mode]) {
    timer = window.setInterval(() => document.hidden || refresh(), SECONDS[mode] * 1000);
    return;
  }
  stream = document.createElement("div");
  stream.hidden = true;
  stream.setAttribute("hx-sse:connect", pathOf(`/events?watch=${encodeURIComponent(watched)}`));
  const background = root.dataset.tell === "yes" ? " sse.pauseOnBackground:false" : "";
  stream.setAttribute("hx-config", `sse.reconnectMaxDelay:10s${background}`);
  stream.addEventListener("changed", refresh);
  stream.addEventListener("htmx:sse:error", () => tellCut(true));
  stream.addEventListener("htmx:sse:after:connection", () => tellCut(false));
  document.body.append(stream);
  htmx.process(stream);
}

function tellCut(cut: boolean): void {
  byId("cut")!.hidden = !cut;
}

function watches(): boolean {
  return !!document.querySelector("[data-watch]");
}

export function watchLive(): void {
  const watched = document.querySelector<HTMLElement>("[data-watch]")?.dataset.watch;
  if (!watched) return;
  start(watched);
  document.addEventListener("prefer:live", () => watches() && start(watched));
  document.addEventListener("toggle", () => putOff && refresh(), { capture: true });
  // A page with nothing more to tell says so by watching nothing.
  onShow(() => watches() || stop());
}
