// How somebody reads logs, kept in their browser from one log to the next.
export function kept(name: string, otherwise: string): string {
  try {
    return localStorage.getItem(`barbeque.log.${name}`) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export function keep(name: string, value: string): void {
  try {
    localStorage.setItem(`barbeque.log.${name}`, value);
  } catch {
    // A browser that keeps nothing for us starts from the defaults.
  }
}
