// Light or dark: the system's choice unless a person made one. public/theme.js applies it early.
import { signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";
const KEY = "detect-api.theme";

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    return "system";
  }
}

export const theme = signal<Theme>(stored());

export function setTheme(value: Theme): void {
  theme.value = value;
  if (value === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = value;
  try {
    if (value === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, value);
  } catch {
    // It holds until the page is closed.
  }
}
