// The page of an execution: its title and its log go with what live updates bring, and who wants to
// is told when it ends.
import htmx from "htmx.org";
import { byId, onShow, root } from "./page";

const TELL = "barbeque.tell";

function wanted(): boolean {
  return "Notification" in window && Notification.permission === "granted" && sessionStorage.getItem(TELL) === location.pathname;
}

function offer(): void {
  const button = byId("tell");
  if (!button || !("Notification" in window) || Notification.permission === "denied") return;
  button.hidden = false;
  button.setAttribute("aria-pressed", String(wanted()));
}

// Whoever wants to be told is told in a hidden tab, too: its updates go on.
function goOnHidden(): void {
  root.dataset.tell = wanted() ? "yes" : "no";
  document.dispatchEvent(new CustomEvent("prefer:live"));
}

async function switchTelling(): Promise<void> {
  const on = !wanted() && (await Notification.requestPermission()) === "granted";
  if (on) sessionStorage.setItem(TELL, location.pathname);
  else sessionStorage.removeItem(TELL);
  goOnHidden();
  offer();
}

function tell(facts: HTMLElement): void {
  if (facts.dataset.ended !== "yes" || !wanted()) return;
  sessionStorage.removeItem(TELL);
  const icon = document.querySelector<HTMLLinkElement>("link[rel=icon]")!.href;
  const told = new Notification(facts.dataset.title!, { tag: location.pathname, icon });
  told.addEventListener("click", () => window.focus());
}

// The next attempt's log takes the place of the last one's, unless that one was asked for.
function followAttempt(facts: HTMLElement): void {
  const log = byId("log")!;
  if (log.dataset.asked === "no" && Number(facts.dataset.attempt) > Number(log.dataset.attempt)) htmx.trigger(log, "next");
}

export function watchExecution(): void {
  let state = byId("facts")?.dataset.state;
  if (!state) return;
  if (wanted()) goOnHidden();
  document.addEventListener("click", (event) => {
    if ((event.target as Element).closest("#tell")) void switchTelling();
  });
  onShow(() => {
    const facts = byId("facts")!;
    offer();
    followAttempt(facts);
    if (facts.dataset.state === state) return;
    state = facts.dataset.state;
    document.title = document.title.replace(/^.*?(?= · barbeque)/, facts.dataset.title!);
    byId("spoken")!.textContent = facts.dataset.spoken!;
    tell(facts);
  });
}
