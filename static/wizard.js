// Adding a host, step by step: each step is tested, all is sent in one request at the end,
// and what was typed (but no password) outlives a reload of the page.
(() => {
  const { call, body, complain, clear } = window.holdfast;
  const wizard = document.getElementById("wizard");
  const steps = [...wizard.querySelectorAll("[data-step]")];
  const KEPT = "add-host";
  let found = null; // what the test of the host told
  let power = null; // the controller as it was tested

  const one = (query) => wizard.querySelector(query);
  const form = (name) => one(`[data-wizard="${name}"]`);

  function make(tag, text, more = {}) {
    const element = Object.assign(document.createElement(tag), more);
    if (text !== undefined) element.textContent = text;
    return element;
  }

  function show(index) {
    steps.forEach((step, place) => { step.hidden = place !== index; });
    document.querySelectorAll("#wizard-steps li").forEach((item, place) => {
      item.classList.toggle("wizard-done", place < index);
      if (place === index) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    });
    steps[index].querySelector("h2").focus();
    if (index === 3) summarise();
  }

  // ---- what was typed is kept ------------------------------------------------------------
  function typed() {
    return [...wizard.querySelectorAll("[name]")].filter((field) => field.type !== "password" && field.id);
  }

  function keep() {
    const values = Object.fromEntries(typed().map((field) => [field.id, field.value]));
    try { sessionStorage.setItem(KEPT, JSON.stringify(values)); } catch { /* storage may be forbidden */ }
  }

  function restore() {
    let values = {};
    try { values = JSON.parse(sessionStorage.getItem(KEPT) || "{}"); } catch { /* as above */ }
    for (const field of typed()) if (values[field.id]) field.value = values[field.id];
  }

  // ---- a test, with its button busy meanwhile --------------------------------------------
  async function attempt(at, work) {
    const button = at.querySelector('[type="submit"]');
    const words = button.lastChild.textContent;
    button.disabled = true;
    button.lastChild.textContent = " Trying; a few seconds …";
    clear(at);
    try {
      const { answer, told } = await work();
      if (answer.ok) return told;
      complain(at, told, answer.status);
    } catch {
      complain(at, { detail: "The portal gives no answer.", cure: "What you typed is still here: try again." }, 0);
    } finally {
      button.disabled = false;
      button.lastChild.textContent = words;
    }
    return null;
  }

  async function tryHost(at) {
    const told = await attempt(at, () => call("POST", at.action, body(at)));
    if (!told) return;
    found = told;
    const name = form("found").elements.name;
    if (!name.value) name.value = (told.hostname || "").split(".")[0];
    describe(told);
    show(1);
  }

  // ---- what was found --------------------------------------------------------------------
  function describe(told) {
    const facts = one("[data-facts]");
    const gib = (told.memory_mib / 1024).toFixed(1);
    const lines = {
      Machine: told.hostname, UUID: told.host_uuid, Size: `${gib} GiB, ${told.vcpus} CPUs`,
      Processor: [told.cpu_arch, told.cpu_model].filter(Boolean).join(" ") || "not told",
      libvirt: told.libvirt || "not told",
    };
    facts.replaceChildren(...Object.entries(lines).flatMap(([name, text]) => [make("dt", name), make("dd", text)]));
    const place = one("[data-guests]");
    if (!told.guests.length) {
      place.replaceChildren(make("p", "No VMs are on it. It is empty, and can take some.", { className: "nothing" }));
      return;
    }
    const table = make("table", undefined, { className: "rows" });
    const head = table.createTHead().insertRow();
    for (const text of ["Take over", "VM", "State", "What you should know"]) {
      head.append(make("th", text, { scope: "col" }));
    }
    const rows = table.createTBody();
    told.guests.forEach((guest) => rows.append(guestRow(guest)));
    const title = make("h3", `${told.guests.length} VMs are on it`);
    place.replaceChildren(title, table);
  }

  function guestRow(guest) {
    const row = make("tr");
    const box = make("input", undefined, { type: "checkbox", value: guest.uuid, checked: guest.adoptable, disabled: !guest.adoptable });
    box.dataset.adopt = guest.name;
    box.setAttribute("aria-label", `Take over ${guest.name}`);
    const pick = row.insertCell();
    pick.dataset.label = "Take over";
    pick.append(box);
    const name = make("th", undefined, { scope: "row" });
    name.append(make("span", guest.name, { className: "name" }));
    name.append(make("span", `${guest.memory_mib} MiB, ${guest.vcpus} CPUs`, { className: "sub" }));
    row.append(name);
    const state = row.insertCell();
    state.dataset.label = "State";
    state.textContent = guest.state;
    const notes = row.insertCell();
    notes.dataset.label = "Notes";
    if (!guest.adoptable) notes.append(make("p", guest.why_not.join(" "), { className: "why" }));
    for (const text of guest.unprotected || []) notes.append(make("p", text));
    if (!notes.childNodes.length) notes.textContent = "Nothing stands against it.";
    return row;
  }

  function chosen() {
    return [...wizard.querySelectorAll("[data-adopt]:checked")];
  }

  // ---- power -----------------------------------------------------------------------------
  async function tryPower(at) {
    const controller = body(at);
    const told = await attempt(at, () => call("POST", at.action, { ...controller, host_uuid: found?.host_uuid || "" }));
    if (!told) return;
    power = controller;
    const reading = one("[data-reading]");
    const words = { proven: "It is this host's own BMC: its word counts as proof.", unproven: "It does not tell whose it is: it shows the power, and proves and switches nothing.", foreign: "It belongs to another machine." };
    reading.replaceChildren(make("p", `It says: power ${told.state}.`), make("p", words[told.identity] || told.text));
    reading.hidden = false;
    const next = one("[data-power-on]");
    next.hidden = told.identity === "foreign";
    next.classList.add("btn-primary");
    next.focus();
  }

  // ---- the end ---------------------------------------------------------------------------
  function summarise() {
    const names = chosen().map((box) => box.dataset.adopt);
    const ha = form("found").elements.ha.checked;
    const lines = [
      `${form("found").elements.name.value} (${form("host").elements.uri.value}) is added and watched from now on.`,
      power ? `Its power is switched through ${power.address}.` : "It has no power controller: if it dies, a person is asked.",
      names.length ? `Taken over${ha ? " and put under HA" : ""}: ${names.join(", ")}.` : "No VM is taken over.",
      "Each VM that is taken over gets a mark in its libvirt metadata; no VM is stopped or moved.",
    ];
    one("[data-summary]").replaceChildren(...lines.map((text) => make("li", text)));
  }

  async function clusterOf(at) {
    const wish = at.elements.cluster.value;
    if (wish !== "new" && wish !== "") return { answer: { ok: true }, told: { id: Number(wish) } };
    return call("POST", at.elements.cluster_name.dataset.url, { name: at.elements.cluster_name.value });
  }

  async function finish(at) {
    const told = await attempt(at, async () => {
      const cluster = await clusterOf(at);
      if (!cluster.answer.ok) {
        const errors = [{ field: "cluster_name", text: cluster.told.detail }];
        return { answer: cluster.answer, told: { ...cluster.told, errors } };
      }
      takeCluster(at, cluster.told);
      const host = { name: form("found").elements.name.value, uri: form("host").elements.uri.value.trim(), cluster: cluster.told.id };
      const adopt = chosen().map((box) => box.value);
      if (adopt.length) Object.assign(host, { adopt, adopt_ha: form("found").elements.ha.checked });
      if (power) host.power = power;
      return call("POST", at.action, host);
    });
    if (!told) return;
    try { sessionStorage.removeItem(KEPT); } catch { /* as above */ }
    location.assign(wizard.dataset.next.replace("{id}", told.id));
  }

  // A cluster that was made is chosen from now on: a second try makes no second one.
  function takeCluster(at, cluster) {
    const choice = at.elements.cluster;
    if (![...choice.options].some((option) => option.value === String(cluster.id))) {
      choice.prepend(new Option(cluster.name, cluster.id));
    }
    choice.value = String(cluster.id);
    one("[data-new-cluster]").hidden = true;
  }

  // ---- what the host must have -----------------------------------------------------------
  async function preflight() {
    const place = document.getElementById("preflight");
    const uri = form("host").elements.uri.value.trim();
    const address = /^[a-z+]*:?\/?\/?(?:[^@/]*@)?(\[[^\]]+\]|[^:/]+)/i.exec(uri)?.[1];
    if (!place.open || !address) return;
    const { answer, told } = await call("GET", `${place.dataset.url}?address=${encodeURIComponent(address)}`);
    if (!answer.ok) return;
    const list = make("ol", undefined, { className: "preflight" });
    for (const item of told.results || told) {
      const line = make("li");
      line.append(make("strong", item.what), make("span", item.why, { className: "sub" }));
      const command = make("div", undefined, { className: "command" });
      const copy = make("button", "Copy", { type: "button", className: "btn btn-sm" });
      copy.dataset.copy = item.command;
      command.append(make("code", item.command), copy);
      line.append(command);
      list.append(line);
    }
    place.querySelector("[data-preflight]").replaceChildren(list);
  }

  const WORK = { host: tryHost, found: () => show(2), power: tryPower, finish };
  wizard.addEventListener("submit", (event) => {
    event.preventDefault();
    WORK[event.target.dataset.wizard](event.target);
  });
  wizard.addEventListener("click", (event) => {
    const now = steps.findIndex((step) => !step.hidden);
    if (event.target.closest("[data-back]")) show(now - 1);
    if (event.target.closest("[data-power-on]")) show(3);
    if (event.target.closest("[data-skip]")) {
      power = null;
      show(3);
    }
  });
  document.addEventListener("click", (event) => {
    const fill = event.target.closest("[data-fill]");
    if (!fill) return;
    for (const [name, value] of Object.entries(JSON.parse(fill.dataset.fill))) {
      wizard.querySelectorAll(`[name="${name}"]`).forEach((field) => { field.value = value; });
    }
    keep();
  });
  wizard.addEventListener("input", keep);
  wizard.addEventListener("change", (event) => {
    if (event.target.name === "cluster") one("[data-new-cluster]").hidden = event.target.value !== "new";
    if (event.target.name === "uri") preflight();
    if (event.target.closest('[data-wizard="power"]')) {
      power = null; // what was tested is not what stands there now
      one("[data-power-on]").hidden = true;
      one("[data-reading]").hidden = true;
    }
  });
  document.getElementById("preflight").addEventListener("toggle", preflight);
  restore();
})();
