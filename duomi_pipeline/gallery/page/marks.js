// Picks and rejects by prompt id: kept in this browser for this gallery, exported as a file.
"use strict";

(() => {
  // All pages from disk share one storage: the folder tells galleries apart.
  const key = `duomi-gallery-marks:${location.pathname}`;
  let marks = {};
  try { marks = JSON.parse(localStorage.getItem(key)) || {}; } catch { /* none kept, or a private window */ }
  const listeners = [];

  duomi.marks = {
    /** `pick`, `reject` or `none`. */
    of: (id) => (Object.hasOwn(marks, id) ? marks[id] : "none"),

    /** Set a mark, or take it back where it is set already. */
    toggle(id, mark) {
      if (this.of(id) === mark) delete marks[id];
      else marks[id] = mark;
      try { localStorage.setItem(key, JSON.stringify(marks)); } catch {
        duomi.say("This browser keeps no marks for pages from disk: export them before closing.");
      }
      for (const listener of listeners) listener(id);
    },

    with: (mark) => Object.keys(marks).filter((id) => marks[id] === mark),
    onChange: (listener) => listeners.push(listener),

    /** The file that `duomi generate --reroll` is meant for. */
    exported() {
      return JSON.stringify({ picks: this.with("pick"), rejects: this.with("reject") }, null, 1);
    },

    download() {
      const address = URL.createObjectURL(new Blob([this.exported()], { type: "application/json" }));
      duomi.el("a", { href: address, download: "duomi-marks.json" }).click();
      setTimeout(() => URL.revokeObjectURL(address), 10_000);
      duomi.say(`${this.with("pick").length} picks and ${this.with("reject").length} rejects exported as duomi-marks.json`);
    },
  };
})();
