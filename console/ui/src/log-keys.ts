// The keys of a log: its own while it is the page, or while it has the focus.
const KEYS: Record<string, string> = {
  "/": "search", e: "next-error", E: "previous-error", n: "next-hit", N: "previous-hit", f: "full", w: "wrap", o: "outline", G: "end", "@": "goto", ":": "goto",
};

export function watchLogKeys(log: HTMLElement, leave: () => void, act: (name: string) => void): void {
  const press = (event: KeyboardEvent) => {
    const target = event.target as HTMLElement;
    const typing = target.matches("input, textarea, select, [contenteditable]");
    const ours = log.dataset.alone === "yes" || log.contains(target);
    if (!log.isConnected || !ours || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && (typing || log.classList.contains("full"))) {
      if (!typing) act("full");
      leave();
    }
    const name = KEYS[event.key];
    if (typing || !name) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    act(name);
  };
  document.addEventListener("keydown", press, { capture: true });
}
