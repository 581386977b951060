// A page that asks before danger is shown as a dialog over the page that led to it.
import { byId } from "./page";

function watchTyping(dialog: HTMLDialogElement): void {
  const field = dialog.querySelector<HTMLInputElement>("[data-typed]");
  const button = dialog.querySelector<HTMLButtonElement>("button.btn-danger");
  if (!field || !button) return;
  const compare = () => (button.disabled = field.value.trim() !== field.dataset.typed);
  field.addEventListener("input", compare);
  compare();
}

async function ask(link: HTMLAnchorElement): Promise<void> {
  const dialog = byId("dialog") as HTMLDialogElement;
  const answer = await fetch(link.href, { headers: { "HX-Request": "true" } });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const asked = page.getElementById("confirm") ?? page.querySelector(".fault");
  if (!asked) return location.assign(link.href);
  dialog.replaceChildren(document.adoptNode(asked));
  watchTyping(dialog);
  dialog.showModal();
}

export function openDialogs(): void {
  document.addEventListener("click", (event) => {
    const target = event.target as Element;
    const link = target.closest<HTMLAnchorElement>("a[data-dialog]");
    if (link && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      ask(link).catch(() => location.assign(link.href));
    }
    const dialog = target.closest("dialog");
    if (dialog && (target === dialog || target.closest("[data-close]"))) {
      event.preventDefault();
      dialog.close();
    }
  });
}
