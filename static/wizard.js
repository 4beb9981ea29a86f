// Adding a host, step by step: each step is tested, all is sent in one request at the end,
// and what was typed (but no password) outlives a reload of the page.
(() => {
  const { call, make, body, complain, clear } = window.holdfast;
  const wizard = document.getElementById("wizard");
  const steps = [...wizard.querySelectorAll("[data-step]")];
  const KEPT = "add-host";
  let found = null; // what the test of the host told
  let power = null; // the controller as it was tested
  let made = null; // the cluster that was made for this host
  const HOMES = { uri: "host", name: "found", adopt: "found", power: "power" }; // a field's form

  const one = (query) => wizard.querySelector(query);
  const form = (name) => one(`[data-wizard="${name}"]`);

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
      refuse(at, told, answer.status);
    } catch (error) {
      const silent = { detail: "The portal gives no answer.", cure: "What you typed is still here: try again." };
      complain(at, error.field ? error : silent, 0);
    } finally {
      button.disabled = false;
      button.lastChild.textContent = words;
    }
    return null;
  }

  // An error is told at the step that its field belongs to, the first of them.
  function refuse(at, told, status) {
    const errors = told.errors || (told.field ? [{ field: told.field, text: told.detail }] : []);
    const homes = errors.map((one) => HOMES[one.field.split(".")[0]]);
    const home = ["host", "found", "power"].find((name) => homes.includes(name));
    const target = home ? form(home) : at;
    if (target !== at) show(steps.indexOf(target.closest("[data-step]")));
    if (home === "power") untest();
    const named = errors.map((one) => ({ ...one, field: one.field.replace(/^power\./, "") }));
    complain(target, { ...told, errors: named }, status);
  }

  // Looks at the machine; one that is a host already is refused like any other wrong address.
  async function trial(more = {}) {
    const first = form("host");
    const result = await call("POST", first.action, { ...body(first), ...more });
    if (!result.answer.ok || !result.told.known) return result;
    const told = {
      field: "uri", detail: `This machine is a host already: ${result.told.known}.`,
      cure: "Type the address of another machine.",
    };
    return { answer: { ok: false, status: 409 }, told };
  }

  async function tryHost(at) {
    const told = await attempt(at, trial);
    if (!told) return;
    if (found?.host_uuid !== told.host_uuid) untest(); // another machine has another BMC
    found = told;
    const name = form("found").elements.name;
    if (!name.value) name.value = (told.hostname || "").split(".")[0];
    describe(told);
    show(1);
  }

  async function tryName(at) {
    if (await attempt(at, () => trial({ name: at.elements.name.value.trim() }))) show(2);
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
    let controller;
    const told = await attempt(at, () => {
      controller = body(at);
      return call("POST", at.action, { ...controller, host_uuid: found?.host_uuid || "" });
    });
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

  // What was tested is not what stands there now.
  function untest() {
    power = null;
    one("[data-power-on]").hidden = true;
    one("[data-reading]").hidden = true;
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

  // A new cluster is made last, when the host itself is known to be good.
  async function clusterOf(at) {
    const wish = at.elements.cluster.value;
    if (wish !== "new" && wish !== "") return { answer: { ok: true }, told: { id: Number(wish) } };
    const tried = await trial({ name: form("found").elements.name.value.trim() });
    if (!tried.answer.ok) return tried;
    const field = at.elements.cluster_name;
    const { answer, told } = await call("POST", field.dataset.url, { name: field.value });
    if (answer.ok) takeCluster(at, told);
    else told.errors = told.errors?.map((error) => ({ ...error, field: "cluster_name" }));
    return { answer, told };
  }

  async function enter(at) {
    const cluster = await clusterOf(at);
    if (!cluster.answer.ok) return cluster;
    const host = { name: form("found").elements.name.value, uri: form("host").elements.uri.value.trim(), cluster: cluster.told.id };
    const adopt = chosen().map((box) => box.value);
    if (adopt.length) Object.assign(host, { adopt, adopt_ha: form("found").elements.ha.checked });
    if (power) host.power = power;
    const result = await call("POST", at.action, host);
    if (!result.answer.ok && made?.id === cluster.told.id) await giveBack(at);
    return result;
  }

  async function finish(at) {
    const told = await attempt(at, () => enter(at));
    if (!told) return;
    try { sessionStorage.removeItem(KEPT); } catch { /* as above */ }
    location.assign(wizard.dataset.next.replace("{id}", told.id));
  }

  // A cluster that was made is chosen from now on: if the next answer is lost, no second one is made.
  function takeCluster(at, cluster) {
    made = cluster;
    at.elements.cluster.prepend(new Option(cluster.name, cluster.id));
    at.elements.cluster.value = String(cluster.id);
    one("[data-new-cluster]").hidden = true;
  }

  // No empty cluster is left behind by a host that was refused.  The portal keeps one in use.
  async function giveBack(at) {
    const { answer } = await call("DELETE", `${at.elements.cluster_name.dataset.url}${made.id}/`);
    if (!answer.ok) return;
    at.elements.cluster.querySelector(`option[value="${made.id}"]`).remove();
    at.elements.cluster.value = "new";
    one("[data-new-cluster]").hidden = false;
    made = null;
  }

  const WORK = { host: tryHost, found: tryName, power: tryPower, finish };
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
      wizard.querySelectorAll(`[name="${name}"]`).forEach((field) => {
        field.value = value;
        field.dispatchEvent(new Event("change", { bubbles: true }));
      });
    }
    keep();
  });
  wizard.addEventListener("input", keep);
  wizard.addEventListener("change", (event) => {
    if (event.target.name === "cluster") one("[data-new-cluster]").hidden = event.target.value !== "new";
    if (event.target.closest('[data-wizard="power"]')) untest();
  });
  restore();
})();
