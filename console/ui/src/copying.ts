// Buttons that copy: the text that they name, else the one beside them.
import { onShow } from "./page";

async function write(text: string, shown: HTMLElement | null): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Browsers refuse the clipboard to pages that came over plain HTTP.
    const area = document.createElement("textarea");
    area.value = text;
    (shown?.parentElement ?? document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

export function offerCopying(): void {
  onShow((part) => {
    for (const button of part.querySelectorAll<HTMLElement>("[data-copy]")) button.hidden = false;
  });
  document.addEventListener("click", async (event) => {
    const button = (event.target as Element).closest<HTMLElement>("[data-copy]");
    if (!button) return;
    const beside = button.parentElement!.querySelector<HTMLElement>("pre");
    await write(button.dataset.copy || beside?.textContent?.trimEnd() || "", button);
    button.classList.add("copied");
    setTimeout(() => button.classList.remove("copied"), 1500);
  });
}
