// Forms over the REST API.  <form data-rest="PATCH" action="/api/v1/hosts/3/" data-etag='"4"'>:
// the fields become JSON, errors come back to their fields, and nothing typed is ever lost.
// A field's name is its path (“policy.grace”); data-json says what it is: text (usual), number,
// flag, lines, json.  Empty fields are left out, or sent as null with data-empty="null".
(() => {
  const { call, toast, follow } = window.holdfast;
  const GENERAL = "[data-form-errors]";

  // ---- from fields to JSON -------------------------------------------------------------
  function value(field) {
    const text = field.value.trim();
    switch (field.dataset.json) {
      case "flag": return field.type === "checkbox" ? field.checked : text === "true";
      case "number": return text === "" || Number.isNaN(Number(text)) ? text : Number(text);
      case "lines": return text.split(/[\n,]/).map((line) => line.trim()).filter(Boolean);
      case "json": return text === "" ? {} : json(field, text);
      default: return field.type === "password" ? field.value : text;
    }
  }

  // Throws what complain() can tell.
  function json(field, text) {
    try {
      return JSON.parse(text);
    } catch {
      throw { field: field.name, detail: "This is no JSON.", cure: 'Write an object such as {"name": "value"}, or leave it empty.' };
    }
  }

  function isEmpty(field) {
    return field.dataset.json !== "flag" && field.value.trim() === "";
  }

  function isChanged(field) {
    if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
    if (field.tagName === "SELECT") {
      const options = [...field.options];
      // With no default among them, a browser begins with the first that can be chosen.
      const named = field.multiple || options.some((option) => option.defaultSelected);
      const first = named ? null : options.find((option) => !option.disabled);
      return options.some((option) => option.selected !== (option.defaultSelected || option === first));
    }
    return field.value !== field.defaultValue;
  }

  function fields(form) {
    return [...form.elements].filter((one) => one.name && !one.disabled && one.type !== "submit");
  }

  // An object such as a policy is sent whole once anything in it has changed.
  function body(form) {
    const told = {};
    const whole = (form.dataset.whole || "").split(" ").filter(Boolean);
    const all = fields(form);
    const touched = new Set(all.filter(isChanged).map((one) => one.name.split(".")[0]));
    for (const field of all) {
      const path = field.name.split(".");
      const inWhole = whole.includes(path[0]);
      if (inWhole && form.dataset.rest === "PATCH" && !touched.has(path[0])) continue;
      if (inWhole) told[path[0]] ??= {};
      if (form.dataset.rest === "PATCH" && !inWhole && !isChanged(field)) continue;
      if (field.type === "radio" && !field.checked) continue;
      if (isEmpty(field) && !(form.dataset.rest === "PATCH" && !inWhole)) {
        if (field.dataset.empty === "null") put(told, path, null);
        continue;
      }
      put(told, path, isEmpty(field) && field.dataset.empty === "null" ? null : value(field));
    }
    return told;
  }

  function put(told, path, given) {
    const inner = path.slice(0, -1).reduce((at, name) => (at[name] ??= {}), told);
    inner[path[path.length - 1]] = given;
  }

  // ---- errors ----------------------------------------------------------------------------
  function clear(form) {
    form.querySelectorAll(".field-error").forEach((one) => one.remove());
    form.querySelectorAll('[aria-invalid="true"]').forEach((one) => {
      one.removeAttribute("aria-invalid");
      one.classList.remove("is-invalid");
    });
    form.querySelector(GENERAL)?.replaceChildren();
  }

  function say(text) {
    const line = document.createElement("p");
    line.className = "field-error";
    line.setAttribute("role", "alert");
    line.textContent = text;
    return line;
  }

  function blame(form, name, text) {
    const field = fields(form).find((one) => one.name === name);
    if (!field) return false;
    const line = say(text);
    line.id = `error-${name.replaceAll(".", "-")}`;
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", line.id);
    field.classList.add("is-invalid");
    (field.closest(".field, .check, td") || field).append(line);
    return field;
  }

  function complain(form, told, status) {
    clear(form);
    const errors = told.errors || (told.field ? [{ field: told.field, text: told.detail }] : []);
    const blamed = errors.map((one) => blame(form, one.field, one.text));
    const general = form.querySelector(GENERAL);
    const text = told.detail || `The portal answered ${status}.`;
    if (blamed.every(Boolean) && blamed.length) general?.append(say(told.cure));
    else general?.append(say([text, told.cure].filter(Boolean).join(" ")));
    (blamed.find(Boolean) || general?.closest("form").querySelector('[type="submit"]'))?.focus();
  }

  // ---- somebody else was faster ----------------------------------------------------------
  function at(object, name) {
    return name.split(".").reduce((inner, key) => inner?.[key], object);
  }

  function shown(given) {
    if (given === undefined || given === null || given === "") return "–";
    return typeof given === "object" ? JSON.stringify(given) : String(given);
  }

  async function compare(form) {
    const { answer, told } = await call("GET", form.action);
    if (!answer.ok) return complain(form, told, answer.status);
    clear(form);
    const etag = answer.headers.get("ETag");
    const differing = fields(form).filter((one) => {
      const theirs = at(told, one.name);
      return one.type !== "password" && shown(theirs) !== shown(isEmpty(one) ? null : value(one));
    });
    const template = document.getElementById("stale-template").content.cloneNode(true);
    const rows = template.querySelector("tbody");
    for (const field of differing) {
      const row = rows.insertRow();
      const label = field.closest("label, .field")?.querySelector("span")?.textContent || field.name;
      for (const text of [label.trim(), shown(at(told, field.name)), shown(value(field))]) {
        row.insertCell().textContent = text;
      }
    }
    const block = template.firstElementChild;
    block.querySelector("[data-mine]").addEventListener("click", () => {
      form.dataset.etag = etag;
      form.requestSubmit();
    });
    block.querySelector("[data-theirs]").addEventListener("click", () => {
      for (const field of differing) take(field, at(told, field.name));
      form.dataset.etag = etag;
      clear(form);
      toast("good", "Their values are in the form now");
    });
    form.querySelector(GENERAL).append(block);
    block.querySelector("[data-mine]").focus();
    return undefined;
  }

  function take(field, given) {
    if (field.type === "checkbox") field.checked = Boolean(given);
    else if (field.dataset.json === "lines") field.value = (given || []).join("\n");
    else if (field.dataset.json === "json") field.value = JSON.stringify(given ?? {}, null, 1);
    else field.value = given ?? "";
  }

  // ---- sending ---------------------------------------------------------------------------
  async function send(form, submitter) {
    let told;
    try {
      told = body(form);
    } catch (error) {
      return complain(form, error, 0);
    }
    const button = submitter || form.querySelector('[type="submit"]');
    button.disabled = true;
    form.setAttribute("aria-busy", "true");
    try {
      const more = form.dataset.etag ? { "If-Match": form.dataset.etag } : {};
      const result = await call(form.dataset.rest, form.action, told, more);
      await arrived(form, result);
    } catch {
      complain(form, { detail: "The portal gives no answer; nothing was taken.", cure: "What you typed is still here: check the connection and send it again." }, 0);
    } finally {
      button.disabled = false;
      form.removeAttribute("aria-busy");
    }
    return undefined;
  }

  async function arrived(form, { answer, told }) {
    if (answer.status === 412) return compare(form);
    if (answer.status === 401 || (answer.status === 403 && told.code !== "permission_denied")) {
      const cure = "Sign in again in another tab, then send this form again: nothing typed is lost.";
      return complain(form, { detail: "You are no longer signed in.", cure }, answer.status);
    }
    if (!answer.ok) return complain(form, told, answer.status);
    clear(form);
    form.dataset.etag = answer.headers.get("ETag") || form.dataset.etag || "";
    for (const field of fields(form)) settle(field);
    form.dispatchEvent(new CustomEvent("rest:done", { bubbles: true, detail: { answer, told } }));
    if (form.dataset.secret) return reveal(form, told);
    const next = form.dataset.next;
    if (next) return location.assign(next.replace("{id}", told.id));
    toast("good", form.dataset.done || "Saved");
    if (answer.status === 202) follow(answer.headers.get("Location"), form.dataset.done || "Done");
    form.closest("dialog")?.close();
    window.holdfast.refreshAll?.();
    return undefined;
  }

  // A secret is shown once: the page goes on only when the person says so.
  function reveal(form, told) {
    const box = form.parentElement.querySelector("[data-secret-box]");
    box.querySelector("[data-secret-text]").textContent = told[form.dataset.secret];
    box.querySelector("[data-secret-on]").href = form.dataset.secretNext.replace("{id}", told.id);
    form.hidden = true;
    box.hidden = false;
    box.querySelector("[data-copy]").focus();
  }

  // What was sent is the new starting point: a second save sends only what changed since.
  function settle(field) {
    if (field.type === "password") field.value = "";
    else if (field.type === "checkbox" || field.type === "radio") field.defaultChecked = field.checked;
    else if (field.tagName === "SELECT") {
      for (const option of field.options) option.defaultSelected = option.selected;
    } else field.defaultValue = field.value;
  }

  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-rest]")) return;
    event.preventDefault();
    send(event.target, event.submitter);
  });

  window.addEventListener("beforeunload", (event) => {
    const forms = [...document.querySelectorAll("form[data-rest]")];
    if (forms.some((form) => !form.matches("[data-careless]") && fields(form).some(isChanged))) {
      event.preventDefault();
    }
  });

  // A role over a cluster needs to know which: one choice for each kind, one of them in use.
  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-scope-type]")) return;
    for (const choice of event.target.form.querySelectorAll("[data-scope]")) {
      choice.hidden = choice.dataset.scope !== event.target.value;
      choice.querySelector("select").disabled = choice.hidden;
    }
  });

  // A list's filters take effect when one is chosen; Apply is for those who type.
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-auto-submit]");
    if (form && event.target.matches("select")) form.requestSubmit();
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-auto-submit]")) return;
    for (const field of event.target.elements) {
      if (field.name && field.value === "") field.disabled = true; // a short URL is a readable one
    }
  });

  window.holdfast.body = body;
  window.holdfast.complain = complain;
  window.holdfast.clear = clear;
})();
