// Preferences count at once; only another language needs the page again.
import { byId, keep, root } from "./page";

export function watchPreferences(): void {
  const form = byId("preferences");
  if (!form) return;
  form.querySelector<HTMLElement>("[data-needless]")!.hidden = true;
  form.addEventListener("change", (event) => {
    const { name, value } = event.target as HTMLInputElement;
    keep(name, value);
    if (name === "language") return location.reload();
    if (name === "theme") root.dataset.bsTheme = value;
    if (name === "times") root.dataset.times = value;
    if (name === "live") root.dataset.live = value;
    document.dispatchEvent(new CustomEvent(`prefer:${name}`));
  });
}

// A notice tells of what was just done: not again when the page is loaded again.
export function forgetNotice(): void {
  const here = new URL(location.href);
  if (!here.searchParams.has("notice")) return;
  here.searchParams.delete("notice");
  history.replaceState(history.state, "", here);
}
