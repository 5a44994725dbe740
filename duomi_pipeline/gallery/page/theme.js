// Dark or light: the system's choice until the button says otherwise. Loaded first, so the page never flashes.
"use strict";

(() => {
  const KEY = "duomi-gallery-theme";
  const system = matchMedia("(prefers-color-scheme: light)");

  function stored() {
    try { return localStorage.getItem(KEY); } catch { return null; }
  }

  function apply(theme) {
    document.documentElement.dataset.theme = theme || (system.matches ? "light" : "dark");
  }

  apply(stored());
  system.addEventListener("change", () => apply(stored()));
  window.duomiToggleTheme = () => {
    const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem(KEY, theme); } catch { /* not kept: a private window */ }
    apply(theme);
  };
})();
