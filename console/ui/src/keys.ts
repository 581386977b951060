// Keys: the table that people read is the table that is obeyed (templates/keys.html).
import { byId, keep, root } from "./page";

const PAUSE = 1200;

let at = -1;

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

function row(): HTMLElement | undefined {
  return document.querySelectorAll<HTMLElement>("[data-row]")[at];
}

function prefer(name: string, value: string): void {
  const field = document.querySelector<HTMLInputElement>(`#preferences [name=${name}][value="${value}"]`);
  keep(name, value);
  field?.click();
}

const ACTS: Record<string, (aim: string) => void> = {
  help: () => (byId("keys") as HTMLDialogElement).showModal(),
  search: () => (byId("search") as HTMLInputElement).select(),
  go: (aim) => location.assign(aim),
  click: (aim) => document.querySelector<HTMLElement>(aim)?.click(),
  open: () => row()?.querySelector<HTMLElement>("a.id")?.click(),
  choose: () => row()?.querySelector<HTMLElement>("input[type=checkbox]")?.click(),
  live: () => prefer("live", root.dataset.live === "paused" ? "live" : "paused"),
  theme: () => prefer("theme", getComputedStyle(root).colorScheme.trim() === "dark" ? "light" : "dark"),
  row: (aim) => {
    const rows = document.querySelectorAll<HTMLElement>("[data-row]");
    row()?.classList.remove("at");
    at = Math.max(0, Math.min(rows.length - 1, at + Number(aim)));
    row()?.classList.add("at");
    row()?.scrollIntoView({ block: "nearest" });
  },
};

export function watchKeys(): void {
  let before = "";
  let since = 0;
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "k") {
      event.preventDefault();
      return ACTS.search("");
    }
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (event.key === "Enter" && (at < 0 || document.activeElement !== document.body)) return;
    if (document.querySelector("dialog[open]")) return;
    const chord = event.timeStamp - since < PAUSE && before === "g" ? `g ${event.key}` : event.key;
    [before, since] = [event.key, event.timeStamp];
    const found = [...document.querySelectorAll<HTMLElement>("#keys [data-keys]")].find((each) => each.dataset.keys === chord);
    if (!found) return;
    event.preventDefault();
    ACTS[found.dataset.act!]?.(found.dataset.aim ?? "");
  });
}
