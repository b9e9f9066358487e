// Dark or light: what the reader chose here, else what the system prefers.

import { part } from "./parts.js";

/** Let the button switch, and remember it. */
export function themeSwitch() {
  const root = document.documentElement;
  const button = part("theme");

  function current() {
    return root.dataset.theme ?? (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark");
  }

  button.addEventListener("click", () => {
    const theme = current() === "dark" ? "light" : "dark";
    root.dataset.theme = theme;
    try {
      localStorage.setItem("theme", theme);
    } catch {
      // Storage is switched off: the choice holds for this page.
    }
  });
}
