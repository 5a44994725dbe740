// Picks and rejects by prompt id: kept in this browser for this gallery, exported to a file and loaded from one.
// A mark is of the picture that was looked at, which may be an earlier version: a prompt that got another picture since
// is unmarked, and the page says so.
"use strict";

(() => {
  // All pages from disk share one storage: the folder tells galleries apart. A served one has another path at each start.
  const key = `duomi-gallery-marks:${document.documentElement.dataset.home ?? location.pathname}`;
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

  /** `seen`: when the prompt's picture in use was made; `made`: the same of the marked version, where it is another one. */
  function set(row, mark, version = null) {
    const seen = duomi.columns.made[row];
    const picture = version ? version.files[0][0] : duomi.card(row)?.picture ?? null;
    marks[duomi.columns.id[row]] = { mark, picture, made: version ? version.at : seen, seen };
  }

  const entry = (row) => {
    const id = duomi.columns.id[row];
    return Object.hasOwn(marks, id) ? marks[id] : null;
  };

  const isOf = (found, row) => [found.made, found.seen].includes(duomi.columns.made[row]);

  function changed(row) {
    keep();
    for (const listener of listeners) listener(row);
  }

  readKept();

  /** What a replaced mark says of itself. */
  duomi.replaced = (row) => `You ${duomi.marks.ofReplaced(row)}ed an earlier picture; this one is unmarked.`;

  duomi.marks = {
    /** `pick`, `reject` or `none`. */
    of(row) {
      const found = entry(row);
      return found && isOf(found, row) ? found.mark : "none";
    },

    /** The mark of a version of a prompt. */
    ofVersion(row, version) {
      return version.files.some(([file]) => file === entry(row)?.picture) ? this.of(row) : "none";
    },

    /** The file of an earlier version that is to be kept, where the picture in use is another one. */
    kept(row) {
      const card = duomi.card(row);
      const { picture } = entry(row) ?? {};
      return card && this.of(row) === "pick" && picture !== card.picture ? picture : null;
    },

    /** `pick` or `reject` where such a mark was of a picture that another one replaced; else `null`. */
    ofReplaced(row) {
      const found = entry(row);
      return found && !isOf(found, row) ? found.mark : null;
    },

    /** Set a mark, or take it back where it is set already; of a version, else of the picture in use. */
    toggle(row, mark, version = null) {
      readKept(); // another window may have marked in the meantime
      const now = version ? this.ofVersion(row, version) : this.kept(row) ? "none" : this.of(row);
      if (now === mark) delete marks[duomi.columns.id[row]];
      else set(row, mark, version);
      changed(row);
    },

    /** Forget a mark whose picture was replaced. */
    forget(row) {
      delete marks[duomi.columns.id[row]];
      changed(row);
    },

    replaced: () => Object.keys(marks).map(duomi.rowOf).filter((row) => row >= 0 && duomi.marks.ofReplaced(row)),

    /** Files of the picked pictures, all of a version, and when they were made. */
    async picked() {
      const some = await Promise.all(this.rows("pick").map(async (row) => {
        const { versions } = await duomi.loadDetails(row);
        const version = versions.find((one) => this.ofVersion(row, one) === "pick");
        return version ? version.files.map(([file]) => ({ file, at: version.at })) : [];
      }));
      return some.flat();
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
      duomi.download(new Blob([this.exported()], { type: "application/json" }), "duomi-marks.json");
    },

    /** Take over the marks of an exported file; those of prompts and pictures that are not here any more are left out. */
    async load(text) {
      const { picks, rejects, pictures = {} } = JSON.parse(text);
      const listed = [...picks.map((id) => [id, "pick"]), ...rejects.map((id) => [id, "reject"])];
      let taken = 0;
      for (const [id, mark] of listed) {
        const row = duomi.rowOf(id);
        const card = row >= 0 && (await duomi.loadCard(row));
        if (!card) continue;
        const isInUse = !pictures[id] || pictures[id] === card.picture;
        const version = !isInUse && mark === "pick" && (await duomi.loadDetails(row)).versions.find((one) => one.files[0][0] === pictures[id]);
        if (!isInUse && !version) continue;
        set(row, mark, version || null);
        taken += 1;
      }
      changed(null);
      const left = listed.length - taken;
      return `${taken} marks loaded${left ? `; ${left} left out: their prompt or picture is not here any more` : ""}`;
    },
  };
})();
