// Small words that all scripts share.

export const root = document.documentElement;

// What is done now, and again for every part of a page that is put in its place later.
export function onShow(act: (part: ParentNode) => void): void {
  act(document);
  document.addEventListener("htmx:after:swap", () => act(document));
}

export function byId(id: string): HTMLElement | null {
  return document.getElementById(id);
}

// The address of a page of ours, under whatever prefix the console is served.
export function pathOf(path: string): string {
  return (document.body.dataset.root ?? "") + path;
}

export function keep(name: string, value: string): void {
  const path = document.body.dataset.root || "/";
  document.cookie = `barbeque_${name}=${value}; path=${path}; max-age=31536000; samesite=lax`;
}
