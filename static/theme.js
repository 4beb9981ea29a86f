// Dark, light or as the system: kept in this browser, applied before anything is painted.
(() => {
  const order = ["auto", "light", "dark"];
  const words = { auto: "Auto", light: "Light", dark: "Dark" };
  const system = window.matchMedia("(prefers-color-scheme: dark)");

  function chosen() {
    try {
      const kept = localStorage.getItem("theme");
      return order.includes(kept) ? kept : "auto";
    } catch {
      return "auto"; // storage may be forbidden; the system's choice still holds
    }
  }

  function apply() {
    const theme = chosen();
    const dark = theme === "dark" || (theme === "auto" && system.matches);
    document.documentElement.setAttribute("data-bs-theme", dark ? "dark" : "light");
    for (const place of document.querySelectorAll("[data-theme-words]")) {
      place.textContent = words[theme];
    }
  }

  function next() {
    const theme = order[(order.indexOf(chosen()) + 1) % order.length];
    try {
      localStorage.setItem("theme", theme);
    } catch {
      return;
    }
    apply();
  }

  apply();
  system.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("[data-theme-switch]")) {
      button.hidden = false;
      button.setAttribute("aria-label", "Change between automatic, light and dark colours");
      button.addEventListener("click", next);
    }
    apply();
  });
})();
