// Runs before the first paint, so that a stored theme does not flash. The only script that is no module.

document.documentElement.classList.replace("no-js", "js");
try {
  const theme = localStorage.getItem("theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is switched off: the system's preference holds.
}
