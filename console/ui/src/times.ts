// Times as people want them: how long ago, in their own zone, or in UTC.
import { onShow, root } from "./page";

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
];
const TICK = 10_000;

const language = root.lang;
const ago = new Intl.RelativeTimeFormat(language, { style: "short", numeric: "auto" });
const local = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });

function relative(instant: Date): string {
  const seconds = (instant.getTime() - Date.now()) / 1000;
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size * (unit === "day" ? 2 : 1)) return ago.format(Math.trunc(seconds / size), unit);
  }
  return ago.format(Math.trunc(seconds), "second");
}

function utc(instant: Date): string {
  return instant.toISOString().slice(0, 19).replace("T", " ") + " UTC";
}

function write(): void {
  const form = { relative, local: (instant: Date) => local.format(instant), utc }[root.dataset.times ?? ""] ?? relative;
  for (const time of document.querySelectorAll<HTMLTimeElement>("time[title]")) {
    const instant = new Date(time.dateTime);
    const text = form(instant);
    if (time.textContent !== text) time.textContent = text;
    const exact = `${local.format(instant)} · ${utc(instant)}`;
    if (time.title !== exact) time.title = exact;
  }
}

export function keepTimes(): void {
  onShow(write);
  document.addEventListener("prefer:times", write);
  setInterval(() => document.hidden || write(), TICK);
}
