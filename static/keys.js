// Keys, the search of everything, and choosing rows of a list.
(() => {
  const search = document.getElementById("search");
  const input = document.getElementById("search-input");
  const found = document.getElementById("search-found");
  const help = document.getElementById("help");
  const GO = { o: "/", h: "/hosts/", v: "/vms/", c: "/clusters/", i: "/incidents/", e: "/events/" };
  let asked = 0;
  let waits = 0;
  let went = false;

  // ---- search ------------------------------------------------------------------------
  function openSearch() {
    if (!search || search.open) return;
    search.showModal();
    input.select();
    look();
  }

  async function look() {
    const turn = ++asked;
    const url = `${input.dataset.url}?q=${encodeURIComponent(input.value.trim())}`;
    const answer = await fetch(url, { headers: { "X-Part": "1" } }).catch(() => null);
    if (turn !== asked) return; // a later question is under way
    if (!answer?.ok) {
      found.textContent = "The portal gives no answer.";
      return;
    }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    found.replaceChildren(...page.body.childNodes);
    choose(0);
  }

  function options() {
    return [...found.querySelectorAll('[role="option"]')];
  }

  function choose(index) {
    const all = options();
    all.forEach((one, place) => one.setAttribute("aria-selected", String(place === index)));
    const chosen = all[index];
    if (chosen) {
      input.setAttribute("aria-activedescendant", chosen.id);
      chosen.scrollIntoView({ block: "nearest" });
    } else input.removeAttribute("aria-activedescendant");
  }

  function steer(event) {
    const all = options();
    const now = all.findIndex((one) => one.getAttribute("aria-selected") === "true");
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      if (all.length) choose((now + step + all.length) % all.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (all[now]) location.assign(all[now].href);
    } else if (event.key === "Escape") {
      event.preventDefault(); // a search field would only be emptied by the first one
      search.close();
    }
  }

  input?.addEventListener("input", () => {
    clearTimeout(waits);
    waits = setTimeout(look, 120);
  });
  input?.addEventListener("keydown", steer);

  // ---- keys --------------------------------------------------------------------------
  function writes(target) {
    return target.closest("input, textarea, select, [contenteditable]");
  }

  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      openSearch();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || writes(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    if (went && GO[event.key]) location.assign(GO[event.key]);
    went = event.key === "g";
    if (event.key === "/") {
      event.preventDefault();
      openSearch();
    } else if (event.key === "?") help?.showModal();
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-search-open]")) openSearch();
    if (event.target.closest("[data-help-open]")) help?.showModal();
    const copy = event.target.closest("[data-copy]");
    if (copy) copyText(copy);
    if (event.target.closest("[data-bulk-none]")) pick(() => false);
  });

  async function copyText(button) {
    const text = button.dataset.copy || button.parentElement.querySelector("code").textContent;
    try {
      await navigator.clipboard.writeText(text);
      window.holdfast.toast("good", "Copied");
    } catch {
      const code = button.parentElement.querySelector("code");
      if (code) getSelection().selectAllChildren(code); // no clipboard without https: Ctrl-C does it
    }
  }

  // ---- choosing rows -----------------------------------------------------------------
  function picks() {
    return [...document.querySelectorAll("[data-pick]")];
  }

  function pick(decide) {
    for (const one of picks()) one.checked = decide(one);
    count();
  }

  function count() {
    const bar = document.querySelector("[data-bulk]");
    if (!bar) return;
    const chosen = picks().filter((one) => one.checked);
    bar.hidden = chosen.length === 0;
    bar.querySelector("[data-bulk-count]").textContent = chosen.length;
    const open = bar.querySelector("[data-bulk-open]");
    const ids = chosen.map((one) => one.value).join(",");
    open.href = `${open.href.split("?")[0]}?ids=${ids}`;
    const all = document.querySelector("[data-pick-all]");
    if (all) all.checked = chosen.length === picks().length;
  }

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-pick-all]")) pick(() => event.target.checked);
    else if (event.target.matches("[data-pick]")) count();
  });
  document.addEventListener("part:replaced", count);
})();
