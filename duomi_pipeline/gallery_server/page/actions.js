// Buttons of a served page: what can be done with a prompt, and with a version in the grid of versions.
"use strict";

(() => {
  const { el } = duomi;
  const button = (text, act, name = null) => el("button", { class: "small", "aria-label": name, onclick: act }, `${text} …`);

  const again = (row, picture) => duomi.ask("again", { [duomi.columns.id[row]]: picture });
  const keep = (row, picture) => duomi.ask("keep", { [duomi.columns.id[row]]: picture });
  const isGone = (row) => duomi.state(row) === "retired";

  duomi.actions = {
    /** Of the prompt in the large view; `shown` is the version that is looked at. */
    ofPrompt(row, details, shown) {
      if (isGone(row)) return [];
      const { id, title } = duomi.columns;
      const state = duomi.state(row);
      const inUse = details.versions.find((one) => one.current)?.files[0][0] ?? null;
      const version = details.versions[shown];
      const hasFailed = state.startsWith("failed");
      const makes = hasFailed ? "Try again" : ["current", "outdated"].includes(state) ? "Another seed" : "Make the picture";
      return [
        button(makes, () => (hasFailed ? duomi.ask("retry", { [id[row]]: null }) : again(row, inUse))),
        version && !version.current && button("Keep this version", () => keep(row, version.files[0][0])),
        button("Parameters", () => duomi.edit(id[row], title[row], inUse)),
      ];
    },

    /** Of a version in the grid. */
    ofVersion(row, version, model) {
      if (isGone(row)) return [];
      const of = `${duomi.columns.title[row]}, ${model}`;
      const file = version.files[0][0];
      return [version.current
        ? button("Another seed", () => again(row, file), `Another seed: ${of}`)
        : button("Keep now", () => keep(row, file), `Keep now: ${of}`)];
    },
  };
})();
