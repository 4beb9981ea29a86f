// Buttons that act over the REST API, dialogs, menus and messages.
(() => {
  const dialog = document.getElementById("dialog");
  const toasts = document.getElementById("toasts");
  let opener = null;

  // The cookie is fresh even where this page is older than the sign-in.
  function token() {
    const kept = /(?:^|; )csrftoken=([^;]+)/.exec(document.cookie);
    return kept ? kept[1] : document.querySelector('meta[name="csrf"]')?.content || "";
  }

  // Sends JSON; returns the answer and what it told.  Throws where there is no answer at all.
  async function call(method, url, body, headers = {}) {
    const given = { "X-CSRFToken": token(), ...headers };
    if (body !== undefined) given["Content-Type"] = "application/json";
    if (method === "POST") given["Idempotency-Key"] = newKey();
    const sent = body === undefined ? undefined : JSON.stringify(body);
    const answer = await fetch(url, { method, headers: given, body: sent });
    return { answer, told: await answer.json().catch(() => ({})) };
  }

  function make(tag, text, more = {}) {
    const element = Object.assign(document.createElement(tag), more);
    if (text !== undefined) element.textContent = text;
    return element;
  }

  // ---- messages: good ones go by themselves, errors stay until they are read -----------
  function toast(tone, text, cure) {
    const box = document.createElement("div");
    box.className = `toast-box toast-${tone}`;
    box.setAttribute("role", tone === "bad" ? "alert" : "status");
    const words = document.createElement("div");
    const head = document.createElement("strong");
    head.textContent = text;
    words.append(head);
    if (cure) {
      const more = document.createElement("p");
      more.textContent = cure;
      words.append(more);
    }
    const close = document.createElement("button");
    close.type = "button";
    close.className = "toast-close";
    close.setAttribute("aria-label", "Close this message");
    close.textContent = "×";
    close.addEventListener("click", () => box.remove());
    box.append(words, close);
    toasts.append(box);
    if (tone === "good") setTimeout(() => box.remove(), 6000);
  }

  // ---- actions ---------------------------------------------------------------------
  async function act(button) {
    if (button.dataset.ask && !window.confirm(button.dataset.ask)) return;
    const label = (button.dataset.says || button.textContent).trim();
    button.closest("details.menu")?.removeAttribute("open");
    button.disabled = true;
    let leaving = false;
    if (button.dataset.next) window.holdfast?.hold(true); // what this page shows may be gone
    try {
      const fields = JSON.parse(button.dataset.fields || "{}");
      const method = button.dataset.method || "POST";
      const { answer, told } = await call(method, button.dataset.action, method === "POST" ? fields : undefined);
      if (!answer.ok) {
        toast("bad", `${label}: ${told.detail || answer.statusText}`, told.cure);
      } else if (answer.status === 202 && told.state !== "done") {
        toast("good", `${label}: asked for`);
        leaving = leave(button);
        follow(answer.headers.get("Location"), label);
      } else {
        toast("good", `${label}: done`);
        leaving = leave(button);
      }
    } catch {
      toast("bad", `${label}: the portal gives no answer`, "Check the connection and try again.");
    } finally {
      button.disabled = false;
      if (!leaving) {
        window.holdfast?.hold(false);
        window.holdfast?.refreshAll();
      }
    }
  }

  function leave(button) {
    if (button.dataset.next) location.assign(button.dataset.next);
    return Boolean(button.dataset.next);
  }

  function newKey() {
    // randomUUID exists only on https and localhost
    return [...crypto.getRandomValues(new Uint8Array(16))]
      .map((byte) => byte.toString(16).padStart(2, "0"))
      .join("");
  }

  // Only a failure is worth a second message: success is seen in the tables.
  async function follow(where, label) {
    for (let turn = 0; where && turn < 60; turn += 1) {
      await new Promise((resume) => setTimeout(resume, 1000));
      const answer = await fetch(where).catch(() => null);
      if (!answer?.ok) return;
      const op = await answer.json();
      if (["failed", "refused"].includes(op.state)) {
        toast("bad", `${label}: ${op.error?.text || op.state}`, op.error?.cure);
      }
      if (["done", "failed", "refused", "cancelled"].includes(op.state)) return;
    }
  }

  // ---- dialogs ---------------------------------------------------------------------
  function fill(html) {
    const page = new DOMParser().parseFromString(html, "text/html");
    dialog.replaceChildren(...page.body.childNodes);
    if (!dialog.open) dialog.showModal();
    const wrong = dialog.querySelector('[aria-invalid="true"]');
    (wrong || dialog.querySelector("[autofocus]"))?.focus();
    dialog.scrollTop = 0;
    window.holdfast?.tick();
  }

  async function openDialog(link) {
    opener = link;
    const answer = await fetch(link.href, { headers: { "X-Part": "1" } }).catch(() => null);
    if (answer?.ok && !answer.redirected) fill(await answer.text());
    else location.assign(link.href); // the page itself says what is wrong
  }

  async function send(form, submitter) {
    const given = new FormData(form, submitter); // the button's own name and value belong to it
    given.set("csrfmiddlewaretoken", token()); // that of a later sign-in, if there was one
    const button = submitter || form.querySelector('[type="submit"]');
    button.disabled = true;
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        headers: { "X-Part": "1" },
        body: given,
      });
      if (answer.redirected) toast("bad", "You are no longer signed in", "Sign in again in another tab, then press the button again: nothing typed is lost.");
      else if (answer.ok || answer.status === 422) fill(await answer.text());
      else toast("bad", "It was not taken", "Reload the page and try again.");
    } catch {
      toast("bad", "The portal gives no answer", "Nothing was taken. Check the connection.");
    } finally {
      button.disabled = false;
    }
  }

  dialog.addEventListener("close", () => {
    dialog.replaceChildren();
    const back = opener?.id ? document.getElementById(opener.id) : opener;
    back?.focus();
    opener = null;
  });

  // ---- one listener for everything, so that fetched parts need none --------------------
  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-action], a[data-dialog], [data-close]");
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.removeAttribute("open");
    }
    if (!target) return;
    if (target.matches("[data-action]")) {
      act(target);
    } else if (target.matches("a[data-dialog]") && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      openDialog(target);
    } else if (target.matches("[data-close]") && dialog.open) {
      event.preventDefault();
      dialog.close();
    }
  });

  document.addEventListener("submit", (event) => {
    if (event.target.matches("dialog [data-dialog-form]")) {
      event.preventDefault();
      send(event.target, event.submitter);
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = document.querySelector("details.menu[open]");
    menu?.removeAttribute("open");
    menu?.querySelector("summary")?.focus();
  });

  window.holdfast = Object.assign(window.holdfast || {}, { call, make, toast, follow });
})();
