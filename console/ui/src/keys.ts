// Keys: what the page itself says of them (`data-key`), on links, buttons and fields.
const PAUSE = 1200;

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

export function watchKeys(): void {
  let before = "";
  let since = 0;
  document.addEventListener("keydown", (event) => {
    const search = document.getElementById("search") as HTMLInputElement | null;
    if ((event.ctrlKey || event.metaKey) && event.key === "k" && search) {
      event.preventDefault();
      search.select();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (event.key === "/" && search) {
      event.preventDefault();
      search.select();
      return;
    }
    const chord = event.timeStamp - since < PAUSE && before ? `${before} ${event.key}` : event.key;
    [before, since] = [event.key, event.timeStamp];
    const found = document.querySelector<HTMLElement>(`[data-key="${CSS.escape(chord).replace(/\\ /g, " ")}"]`);
    if (!found) return;
    event.preventDefault();
    found.click();
  });
}
