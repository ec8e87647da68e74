// Light, dark, or as the system says. The document always carries the resolved theme; the choice outlives the visit.

export type Choice = "auto" | "light" | "dark";

const KEY = "golf-theme";
const NEXT: Record<Choice, Choice> = { auto: "light", light: "dark", dark: "auto" };

function stored(): Choice {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "auto";
  } catch {
    return "auto";
  }
}

function remember(choice: Choice): void {
  try {
    localStorage.setItem(KEY, choice);
  } catch {
    // Storage may be forbidden; the choice then lasts as long as the page.
  }
}

/** Makes `button` the switch. */
export function themeSwitch(button: HTMLButtonElement): void {
  const system = matchMedia("(prefers-color-scheme: dark)");
  let choice = stored();
  const apply = (): void => {
    const dark = choice === "dark" || (choice === "auto" && system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    button.textContent = `Theme: ${choice}`;
  };
  system.addEventListener("change", apply);
  button.addEventListener("click", () => {
    choice = NEXT[choice];
    remember(choice);
    apply();
  });
  apply();
}
