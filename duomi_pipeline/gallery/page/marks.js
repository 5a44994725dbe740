// Picks and rejects by prompt id: kept in this browser for this gallery, exported to a file and loaded from one.
// A mark is of the picture that was looked at: a prompt that got another one since is unmarked.
"use strict";

(() => {
  // All pages from disk share one storage: the folder tells galleries apart.
  const key = `duomi-gallery-marks:${location.pathname}`;
  const listeners = [];
  let marks = {};

  function readKept() {
    try { marks = JSON.parse(localStorage.getItem(key)) || marks; } catch { /* a private window keeps none */ }
  }

  function keep() {
    try { localStorage.setItem(key, JSON.stringify(marks)); } catch {
      duomi.say("This browser keeps no marks for pages from disk: export them before closing.");
    }
  }

  function set(row, mark) {
    marks[duomi.columns.id[row]] = { mark, picture: duomi.card(row)?.picture ?? null, made: duomi.columns.made[row] };
  }

  function changed(row) {
    keep();
    for (const listener of listeners) listener(row);
  }

  readKept();

  duomi.marks = {
    /** `pick`, `reject` or `none`. */
    of(row) {
      const id = duomi.columns.id[row];
      const found = Object.hasOwn(marks, id) ? marks[id] : null;
      return found?.made === duomi.columns.made[row] ? found.mark : "none";
    },

    /** Set a mark, or take it back where it is set already. */
    toggle(row, mark) {
      readKept(); // another window may have marked in the meantime
      if (this.of(row) === mark) delete marks[duomi.columns.id[row]];
      else set(row, mark);
      changed(row);
    },

    rows: (mark) => Object.keys(marks).map(duomi.rowOf).filter((row) => row >= 0 && duomi.marks.of(row) === mark).sort((a, b) => a - b),
    onChange: (listener) => listeners.push(listener),

    /** The file that `duomi generate --reroll` takes; the pictures tell it which ones were meant. */
    exported() {
      const [picks, rejects] = ["pick", "reject"].map((mark) => this.rows(mark).map((row) => duomi.columns.id[row]));
      const pictures = Object.fromEntries([...picks, ...rejects].map((id) => [id, marks[id].picture]).filter(([, file]) => file));
      return JSON.stringify({ picks, rejects, pictures }, null, 1);
    },

    download() {
      const address = URL.createObjectURL(new Blob([this.exported()], { type: "application/json" }));
      duomi.el("a", { href: address, download: "duomi-marks.json" }).click();
      setTimeout(() => URL.revokeObjectURL(address), 10_000);
    },

    /** Take over the marks of an exported file; those of prompts and pictures that are not here any more are left out. */
    async load(text) {
      const { picks, rejects, pictures = {} } = JSON.parse(text);
      const listed = [...picks.map((id) => [id, "pick"]), ...rejects.map((id) => [id, "reject"])];
      let taken = 0;
      for (const [id, mark] of listed) {
        const row = duomi.rowOf(id);
        const card = row >= 0 && (await duomi.loadCard(row));
        if (!card || (pictures[id] && pictures[id] !== card.picture)) continue;
        set(row, mark);
        taken += 1;
      }
      changed(null);
      const left = listed.length - taken;
      return `${taken} marks loaded${left ? `; ${left} left out: their prompt or picture is not here any more` : ""}`;
    },
  };
})();
