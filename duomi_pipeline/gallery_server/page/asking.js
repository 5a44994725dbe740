// Dialogs before anything is done: how many requests, what they cost; and the parameters of a prompt to edit.
"use strict";

(() => {
  const { el, byId } = duomi;

  async function send(path, content) {
    const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.error ?? `HTTP ${answer.status}`);
    return told;
  }

  function dialog(id, name) {
    const made = el("dialog", { id, class: "small-dialog", "aria-labelledby": `${id}-title` });
    made.addEventListener("close", () => made.remove());
    made.append(el("h2", { id: `${id}-title` }, name));
    document.body.append(made);
    return made;
  }

  const alert = () => el("p", { role: "alert", class: "why", dir: "auto", hidden: true });
  const tell = (place, error) => { place.textContent = error.message; place.hidden = false; };

  /** What it would send and cost, to confirm. */
  function confirm(quote) {
    const shown = dialog("confirm", quote.name);
    const problem = alert();
    const cost = quote.requests === 0 ? "Nothing is sent, and it costs nothing." :
      `${duomi.count(quote.requests, "request")} to ${quote.service}${quote.cost ? `, cost: ${quote.cost}` : ""}.`;
    const go = el("button", { class: "primary", onclick: async () => {
      go.disabled = true; // a second press asks for nothing more; the server would not take it either
      try {
        await send("confirm", { ticket: quote.ticket });
        shown.close();
        await duomi.look();
      } catch (error) {
        tell(problem, error);
        cancel.focus();
      }
    } }, quote.cost ? "Buy and do it" : "Do it");
    const cancel = el("button", { autofocus: true, onclick: () => shown.close() }, quote.prompts ? "Cancel" : "Close");
    shown.append(
      el("p", {}, quote.prompts ? `${duomi.count(quote.prompts, "prompt")}. ${cost}` : "Nothing to do."),
      ...quote.notes.map((note) => el("p", { class: "soft", dir: "auto" }, note)),
      problem, el("p", { class: "links" }, quote.prompts > 0 && go, cancel));
    shown.showModal();
  }

  /** Ask what an action would send and cost, and have it confirmed. */
  duomi.ask = async (kind, pictures) => {
    try {
      confirm(await send("ask", { kind, pictures }));
    } catch (error) {
      const shown = dialog("refused", "Not possible");
      const problem = alert();
      shown.append(problem, el("p", { class: "links" }, el("button", { onclick: () => shown.close() }, "Close")));
      shown.showModal();
      tell(problem, error);
    }
  };

  /** Edit the parameters of a prompt; what is left empty is as its source or the settings say. */
  duomi.edit = async (id, title, picture) => {
    const answer = await fetch(`form?id=${encodeURIComponent(id)}`);
    const form = await answer.json();
    if (!answer.ok) { duomi.say(form.error); return; }
    const shown = dialog("edit", `Parameters of ${title}`);
    const problem = alert();
    const inputs = Object.keys(form.help).map((name) => [name, el("input", {
      id: `edit-${name}`, value: form.recorded[name] ?? "", placeholder: form.below[name], "aria-describedby": `edit-${name}-help`,
      autocomplete: "off", spellcheck: "false", dir: "auto",
    })]);
    const fields = inputs.map(([name, input]) => el("p", { class: "parameter" },
      el("label", { for: input.id }, duomi.words(name)), input,
      el("small", { id: `edit-${name}-help` }, `${form.help[name]} Empty: ${form.below[name] === "" ? "none" : form.below[name]}`)));
    const written = () => Object.fromEntries(inputs.map(([name, { value }]) => [name, value.trim() || null])
      .filter(([name, value]) => value !== null || name in form.recorded));
    const edited = el("form", {
      onsubmit: async (event) => {
        event.preventDefault();
        try {
          const quote = await send("ask", { kind: "parameters", pictures: { [id]: picture }, parameters: written() });
          shown.close();
          confirm(quote);
        } catch (error) {
          tell(problem, error);
        }
      },
    }, ...fields, problem, el("p", { class: "links" },
      el("button", { class: "primary", type: "submit" }, "Show what it costs"), el("button", { type: "button", onclick: () => shown.close() }, "Cancel")));
    shown.append(el("p", { class: "soft" }, "Recorded for this prompt alone, over what its source and the settings say."), edited);
    shown.showModal();
    byId(inputs[0][1].id).focus();
  };
})();
