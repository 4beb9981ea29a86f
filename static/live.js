// Keeps the page fresh: the socket says what changed, the parts concerned are fetched again.
// A part is any element with data-live-url, data-live-types and data-live-every (seconds).
(() => {
  const RETRY_MS = [500, 1000, 2000, 4000, 8000, 15000];
  const PING_MS = 20000;
  const SILENT_MS = 45000;
  const sign = document.getElementById("live-sign");
  const banner = document.getElementById("lost");
  let offset = 0; // server's clock minus this browser's
  let tries = 0;
  let socket = null;
  let heardAt = Date.now();
  let lostAt = 0;
  let retryAt = 0;

  // ---- times -------------------------------------------------------------
  function learnClock(text) {
    const then = Date.parse(text || "");
    if (!Number.isNaN(then)) {
      offset = then - Date.now();
    }
  }

  function words(seconds) {
    if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
    return `${Math.floor(seconds / 86400)} d`;
  }

  function age(element) {
    const seconds = (Date.now() + offset - Date.parse(element.dateTime)) / 1000;
    const plain = element.dataset.age === "plain";
    element.textContent = plain ? words(seconds) : `${words(seconds)} ago`;
    const fresh = element.parentElement;
    if (fresh.classList.contains("fresh")) {
      fresh.classList.toggle("aging", seconds > 8 && seconds <= 20);
      fresh.classList.toggle("old", seconds > 20);
    }
  }

  function tick() {
    document.querySelectorAll("time[data-age]").forEach(age);
    if (lostAt) {
      const wait = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
      const next = wait ? `trying again in ${wait} s` : "trying again";
      banner.lastElementChild.textContent =
        `Live updates are lost, ${next}. What you see is ${words((Date.now() - lostAt) / 1000)} old.`;
    }
  }

  // ---- parts -------------------------------------------------------------
  const busy = new WeakSet();
  const again = new WeakSet();

  let holding = false;

  async function refresh(part) {
    if (holding || !part.dataset.liveUrl) return;
    if (busy.has(part)) {
      again.add(part); // one fetch at a time; whatever came meanwhile needs one more
      return;
    }
    busy.add(part);
    try {
      const answer = await fetch(part.dataset.liveUrl, { headers: { "X-Part": "1" } });
      if (answer.redirected && new URL(answer.url).pathname.startsWith("/sign-in")) {
        location.assign(`/sign-in/?next=${encodeURIComponent(location.pathname)}`);
        return;
      }
      if (answer.ok) replace(part, await answer.text());
      else if (answer.status === 404) gone(part);
    } catch {
      // no network: the banner tells, and the next change or turn tries again
    } finally {
      part.dataset.fetchedAt = String(Date.now());
      busy.delete(part);
      if (again.delete(part)) refresh(part);
    }
  }

  // What a page is about was removed meanwhile: say so, keep what was shown, ask no more.
  function gone(part) {
    delete part.dataset.liveUrl;
    const words = document.createElement("p");
    words.className = "warning";
    words.setAttribute("role", "alert");
    words.textContent = "This was removed meanwhile, or you may no longer see it: what you read here is old.";
    part.prepend(words);
  }

  // Between press and release nothing moves: a click needs both on the same element.
  let pressed = false;
  const waiting = new Map();

  function press(event) {
    if (event.button === 0 || event.key === " ") pressed = true;
  }

  function release() {
    pressed = false;
    setTimeout(() => { // after the click that follows the release
      if (pressed) return;
      const ready = [...waiting];
      waiting.clear();
      for (const [part, html] of ready) replace(part, html);
    });
  }

  function replace(part, html) {
    if (pressed) {
      waiting.set(part, html);
      return;
    }
    if (part.lastHtml === html) return;
    part.lastHtml = html;
    const held = part.contains(document.activeElement) ? document.activeElement : null;
    const path = held && pathTo(part, held);
    const open = [...part.querySelectorAll("details[open][id]")].map((item) => item.id);
    const scrolled = [...part.querySelectorAll("[id]")]
      .filter((item) => item.scrollTop)
      .map((item) => [item.id, item.scrollTop]);
    const ticked = [...part.querySelectorAll("[data-pick]:checked")].map((item) => item.id);
    const next = new DOMParser().parseFromString(html, "text/html");
    part.replaceChildren(...next.body.childNodes);
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    for (const id of ticked) {
      const box = document.getElementById(id);
      if (box) box.checked = true;
    }
    for (const [id, top] of scrolled) {
      const item = document.getElementById(id);
      if (item) item.scrollTop = top;
    }
    if (path) find(part, path)?.focus({ preventScroll: true });
    part.querySelectorAll("time[data-age]").forEach(age);
    part.dispatchEvent(new CustomEvent("part:replaced", { bubbles: true }));
  }

  // Where an element stands: by its id, or by its action, or by its summary's menu.
  function pathTo(part, element) {
    if (element.id) return `#${CSS.escape(element.id)}`;
    const action = element.dataset.action;
    if (action) {
      const fields = element.dataset.fields;
      const more = fields ? `[data-fields="${CSS.escape(fields)}"]` : "";
      return `[data-action="${CSS.escape(action)}"]${more}`;
    }
    const menu = element.closest("details[id]");
    return menu ? `#${CSS.escape(menu.id)} > summary` : null;
  }

  function find(part, path) {
    try {
      return part.querySelector(path);
    } catch {
      return null;
    }
  }

  function parts() {
    return [...document.querySelectorAll("[data-live-url]")];
  }

  function refreshKinds(kinds) {
    for (const part of parts()) {
      const wanted = (part.dataset.liveTypes || "").split(" ");
      if (wanted.some((kind) => kinds.has(kind))) refresh(part);
    }
  }

  function refreshDue() {
    if (document.hidden) return;
    for (const part of parts()) {
      const every = Number(part.dataset.liveEvery || 0) * 1000;
      const last = Number(part.dataset.fetchedAt || started);
      if (every && Date.now() - last >= every) refresh(part);
    }
  }

  // ---- socket ------------------------------------------------------------
  function show(live) {
    sign?.classList.toggle("on", live);
    if (sign) sign.lastElementChild.textContent = live ? "live" : "not live";
    document.body.classList.toggle("stale", !live && lostAt > 0);
    if (banner) banner.hidden = live || !lostAt;
  }

  function connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    socket = new WebSocket(`${scheme}://${location.host}/ws/live/`);
    socket.addEventListener("open", () => {
      tries = 0;
      heardAt = Date.now();
      lostAt = 0;
      show(true);
      parts().forEach(refresh); // whatever was missed meanwhile
    });
    socket.addEventListener("message", (event) => {
      heardAt = Date.now();
      const message = JSON.parse(event.data);
      if (message.type === "resync") parts().forEach(refresh);
      if (message.type === "changes") refreshKinds(new Set(message.changes.map((one) => one.type)));
    });
    socket.addEventListener("close", lost);
  }

  function lost() {
    lostAt = lostAt || heardAt;
    const pause = RETRY_MS[Math.min(tries, RETRY_MS.length - 1)] * (0.8 + 0.4 * Math.random());
    tries += 1;
    retryAt = Date.now() + pause;
    if (tries > 1) show(false); // a blink while the server restarts is no news
    setTimeout(connect, pause);
    if (tries % 3 === 0 && parts().length) refresh(parts()[0]); // signed out? this tells
  }

  function ping() {
    if (socket?.readyState !== WebSocket.OPEN) return;
    if (Date.now() - heardAt > SILENT_MS) socket.close();
    else socket.send('{"type": "ping"}');
  }

  const started = Date.now();
  learnClock(document.body.dataset.now);
  for (const part of document.querySelectorAll("[data-live-now]")) refresh(part);
  if (parts().length) {
    connect();
    setInterval(ping, PING_MS);
    setInterval(refreshDue, 1000);
  }
  tick();
  setInterval(tick, 1000);
  document.addEventListener("visibilitychange", refreshDue);
  for (const name of ["pointerdown", "keydown"]) addEventListener(name, press, true);
  for (const name of ["pointerup", "pointercancel", "keyup", "blur"]) addEventListener(name, release, true);
  window.holdfast = Object.assign(window.holdfast || {}, {
    refreshAll: () => parts().forEach(refresh),
    hold: (on) => { holding = on; },
    tick,
  });
})();
