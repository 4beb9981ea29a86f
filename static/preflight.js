// What a host must have before it is entered, by what stands in the URI's field so far.
(() => {
  const { call, make } = window.holdfast;
  const place = document.getElementById("preflight");
  const field = document.getElementById("field-uri");
  const MACHINES = { portal: "On the portal's machine, as the portal's user:", host: "On the host:" };

  function line(need) {
    const item = make("li");
    const command = make("div", undefined, { className: "command" });
    const copy = make("button", "Copy", { type: "button", className: "btn btn-sm" });
    copy.dataset.copy = need.command;
    command.append(make("code", need.command), copy);
    item.append(make("strong", need.what), make("span", need.why, { className: "sub" }));
    item.append(make("span", MACHINES[need.where], { className: "sub" }), command);
    return item;
  }

  // Each transport under its own title: nobody needs more than one of them.
  function lists(needs) {
    return [...new Set(needs.map((need) => need.scheme))].flatMap((scheme) => {
      const list = make("ol", undefined, { className: "preflight" });
      list.append(...needs.filter((need) => need.scheme === scheme).map(line));
      return [make("h3", scheme ? `For ${scheme}` : "In any case"), list];
    });
  }

  async function show() {
    const uri = field.value.trim();
    if (!place.open) return;
    let told = [make("p", "Type the address first.", { className: "dim" })];
    if (uri) {
      const given = await call("GET", `${place.dataset.url}?uri=${encodeURIComponent(uri)}`).catch(() => null);
      if (field.value.trim() !== uri) return; // a later answer is on its way
      if (given?.answer.ok) told = lists(given.told.results || given.told);
      else told = [make("p", given ? `${given.told.detail}. ${given.told.cure}` : "The portal gives no answer.")];
    }
    place.querySelector("[data-preflight]").replaceChildren(...told);
  }

  field.addEventListener("change", show);
  place.addEventListener("toggle", show);
})();
