// @ts-nocheck
// The log on an execution's page: it is followed while it grows, and switches are remembered.
import { byId } from "./page";

const EVERY = 1000;
const SELDOM = 5000;
const AGEING = 10000;
const KEPT = 5000;
const PAGE = 500;

function remember(id) {
  const box = byId(id);
  if (!box) return;
  try {
    const kept = localStorage.getItem("barbeque." + id);
    if (kept !== null) box.checked = kept === "yes";
    box.addEventListener("change", () => {
      localStorage.setItem("barbeque." + id, box.checked ? "yes" : "no");
    });
  } catch {
    // A browser that keeps nothing for us starts from the defaults.
  }
}

function make(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

function drawLine(line) {
  const row = document.createElement("div");
  row.className = line.stream === "err" ? "line err" : "line";
  row.id = "L" + line.number;
  const anchor = make("a", line.number);
  anchor.href = "#" + row.id;
  const at = make("time", line.clock);
  at.dateTime = line.at;
  const text = make("span", line.text);
  if (line.cut) text.append(" ", make("em", `… ${line.cut.toLocaleString("en")} more characters are in the download`));
  row.append(anchor, make("i", line.stream === "err" ? "err" : ""), at, text);
  return row;
}

class Follower {
  constructor() {
    this.drawnAt = performance.now();
    this.adopt();
    if (this.open || this.live) this.plan(EVERY);
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && (this.open || (this.tail && this.live))) this.plan(0);
    });
  }

  // Take up the log's panel as it stands on the page now.
  adopt() {
    this.panel = byId("log");
    this.lines = byId("lines");
    this.attempt = Number(this.panel.dataset.attempt);
    this.next = Number(this.panel.dataset.next);
    this.live = this.panel.dataset.live === "yes";
    this.tail = this.panel.dataset.tail === "yes";
    this.open = byId("facts").dataset.ended === "no";
    this.follow = byId("follow");
    for (const hidden of this.panel.querySelectorAll(".needs-script")) hidden.hidden = false;
    if (this.follow) this.follow.addEventListener("change", () => this.follow.checked && this.plan(0));
    remember("times");
    remember("wrap");
    if (this.tail && this.lines && !location.hash.startsWith("#L")) this.lines.scrollTop = this.lines.scrollHeight;
  }

  plan(wait) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), wait);
  }

  get following() {
    const wanted = this.tail && this.live && (!this.follow || this.follow.checked);
    return wanted && (!this.lines || this.atEnd || this.lines.childElementCount < 4 * KEPT);
  }

  get atEnd() {
    return this.lines.scrollHeight - this.lines.scrollTop - this.lines.clientHeight < 24;
  }

  // Ask what is new. A server that is away is asked again, less often.
  async look() {
    if (document.hidden) return this.plan(SELDOM);
    const following = this.following;
    const query = new URLSearchParams({ attempt: following ? this.attempt : 0, first: this.next });
    try {
      const answer = await fetch(`${this.panel.dataset.source}?${query}`, { cache: "no-store" });
      if (!answer.ok) return this.plan(SELDOM);
      const news = await answer.json();
      if (following) this.take(news);
      await this.redraw(news);
      if (following && news.lines.length >= PAGE) return this.plan(0);
    } catch {
      return this.plan(SELDOM);
    }
    if (this.open || (this.tail && this.live)) return this.plan(following ? EVERY : SELDOM);
    for (const needless of this.panel.querySelectorAll(".needs-script")) needless.hidden = true;
    return clearTimeout(this.timer);
  }

  take(news) {
    if (news.lines.length && this.lines) {
      const box = this.lines;
      const atEnd = this.atEnd;
      box.append(...news.lines.map(drawLine));
      while (atEnd && box.childElementCount > KEPT) box.firstElementChild.remove();
      if (atEnd) box.scrollTop = box.scrollHeight;
      byId("quiet").hidden = true;
      this.tellStretch(news);
    }
    if (!news.away) this.next = Math.max(this.next, news.next);
    // What was written just before the end may be more than one answer holds.
    this.live = news.live || news.lines.length > 0;
  }

  tellStretch(news) {
    const first = Number(this.lines.firstElementChild.id.slice(1));
    byId("span").textContent = `lines ${first.toLocaleString("en")}–${news.next.toLocaleString("en")}`;
    const earlier = byId("earlier");
    if (earlier) {
      const target = new URL(earlier.href);
      target.searchParams.set("from", Math.max(1, first - PAGE));
      earlier.href = target;
    }
  }

  // Fetch the page again when it has something new to say, and now and then for its times.
  async redraw(news) {
    const facts = byId("facts");
    const changed = news.stamp !== facts.dataset.stamp;
    const busy = facts.contains(document.activeElement) || facts.querySelector("details[open]");
    if (!changed && (busy || performance.now() - this.drawnAt < AGEING)) return;
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!fresh.getElementById("facts")) return;
    this.drawnAt = performance.now();
    const focused = facts.contains(document.activeElement) ? document.activeElement.id : "";
    facts.replaceWith(document.adoptNode(fresh.getElementById("facts")));
    if (focused && byId(focused)) byId(focused).focus();
    if (changed) {
      document.title = fresh.title;
      byId("spoken").textContent = `Now ${news.state}.`;
    }
    const panel = fresh.getElementById("log");
    if (this.panel.dataset.asked === "no" && this.tail && Number(panel.dataset.attempt) !== this.attempt) {
      this.panel.replaceWith(document.adoptNode(panel));
      this.adopt();
    }
    this.open = byId("facts").dataset.ended === "no";
  }
}

export function followLog() {
  if (byId("log")) new Follower();
}
