// Steps through a scenario without loading the page anew: arrow keys, the slider, and the links.
(() => {
  const root = document.getElementById("scenario");
  const slider = document.getElementById("sim-slider");
  if (!root || !slider) return;
  let asked = 0;

  function link(name) {
    return root.querySelector(`[data-sim-go="${name}"]`);
  }

  // The cursor stays in view; a little of what is to come as well.
  function show() {
    const scroll = root.querySelector(".sim-scroll");
    const x = Number(document.getElementById("sim-cursor").getAttribute("x1"));
    const room = Math.min(160, scroll.clientWidth / 3);
    if (x < scroll.scrollLeft + room) scroll.scrollLeft = x - room;
    else if (x > scroll.scrollLeft + scroll.clientWidth - room) {
      scroll.scrollLeft = x - scroll.clientWidth + room;
    }
  }

  function replace(page) {
    const left = root.querySelector(".sim-scroll").scrollLeft;
    const open = document.getElementById("sim-log").open;
    const held = root.contains(document.activeElement) ? document.activeElement : null;
    const name = held?.dataset.simGo;
    const onPicture = held?.matches(".sim-scroll");
    root.replaceChildren(...page.body.childNodes);
    document.getElementById("sim-log").open = open;
    root.querySelector(".sim-scroll").scrollLeft = left;
    const opposite = { forward: "back", last: "first", back: "forward", first: "last" };
    if (name) (link(name) ?? link(opposite[name]))?.focus({ preventScroll: true });
    if (onPicture) root.querySelector(".sim-scroll").focus({ preventScroll: true });
    show();
  }

  async function go(step) {
    const turn = ++asked;
    const url = `${root.dataset.url}?step=${step}`;
    const answer = await fetch(url, { headers: { "X-Part": "1" } }).catch(() => null);
    if (turn !== asked) return; // a later step is under way
    if (!answer?.ok || answer.redirected) {
      location.assign(url);
      return;
    }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (turn !== asked) return;
    replace(page);
    history.replaceState(null, "", url);
    slider.value = step;
    document.getElementById("sim-said").textContent =
      root.querySelector("[data-sim-told]").textContent;
  }

  root.addEventListener("click", (event) => {
    const to = event.target.closest("[data-step]");
    if (!to || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go(Number(to.dataset.step));
  });
  slider.addEventListener("input", () => go(Number(slider.value)));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, .sim-scroll")) return;
    if (document.querySelector("dialog[open]")) return;
    const to = { ArrowLeft: "back", ArrowRight: "forward" }[event.key];
    if (!to) return;
    event.preventDefault();
    const step = link(to)?.dataset.step;
    if (step !== undefined) go(Number(step));
  });

  slider.closest("label").hidden = false;
  root.classList.add("sim-live");
  show();
})();
