// Which rows are shown, in which order. Texts are folded once; a search works in short slices and lets keys through.
"use strict";

(() => {
  const SLICE = 10; // milliseconds of work between two looks at the keyboard
  const FIRST_LOOK = 120; // milliseconds after which an unfinished search shows what it has
  const folded = [];
  const orders = new Map();
  let turn = 0;
  let finished = { query: "", matches: null };

  /** Without accents and case: `Café` is found by `cafe`. */
  const fold = (text) => text.normalize("NFKD").replace(/\p{M}+/gu, "").toLowerCase();

  const isNumber = (word) => /^\d+$/.test(word);

  /** Whether a text holds a word. A number is found whole: `12` is row 12, and neither 112 nor part of a time stamp. */
  function matcher(word) {
    if (!isNumber(word)) return (text) => text.includes(word);
    const whole = new RegExp(`(?<!\\d)${word}(?!\\d)`);
    return (text) => whole.test(text);
  }

  function haystack(row) {
    if (folded[row] === undefined) {
      const { text, picture, seeds } = duomi.card(row);
      folded[row] = fold([duomi.columns.title[row], duomi.columns.id[row], picture || "", ...seeds, text].join("\n"));
    }
    return folded[row];
  }

  /** The place of each row by title, then id; numbers in them count as numbers: 2 stands before 10. */
  function ranks(titles, ids) {
    const natural = (text) => text.toLowerCase().replace(/\d{1,18}/g, (digits) => `\0${digits.padStart(18, "0")}`);
    const keys = titles.map((title, row) => `${natural(title)}\0\0${natural(ids[row])}`);
    const rank = new Int32Array(keys.length);
    Array.from(keys, (_, row) => row)
      .sort((a, b) => (keys[a] < keys[b] ? -1 : keys[a] > keys[b] ? 1 : a - b))
      .forEach((row, place) => { rank[row] = place; });
    return rank;
  }

  function comparison(sort) {
    const { id, title, made, versions, state, model } = duomi.columns;
    const by = (column) => (a, b) => column[a] - column[b] || a - b;
    const byName = (column) => {
      const place = column.names.map((_, code) => code).sort((a, b) => (column.names[a] < column.names[b] ? -1 : 1));
      const places = [];
      place.forEach((code, index) => { places[code] = index; });
      return (a, b) => places[column.codes[a]] - places[column.codes[b]] || a - b;
    };
    return {
      newest: (a, b) => made[b] - made[a] || a - b,
      oldest: (a, b) => (made[a] || Infinity) - (made[b] || Infinity) || a - b,
      name: by(sort === "name" ? ranks(title, id) : []),
      state: byName(state),
      model: byName(model),
      versions: (a, b) => versions[b] - versions[a] || a - b,
    }[sort];
  }

  function ordered(sort) {
    if (!orders.has(sort)) {
      const rows = Int32Array.from({ length: duomi.index.total }, (_, row) => row);
      orders.set(sort, sort === "source" ? rows : rows.sort(comparison(sort)));
    }
    return orders.get(sort);
  }

  /** Rows that pass everything but the search, in order. */
  function filtered(view) {
    const { state, source, model, made, flags } = duomi.columns;
    const states = state.names.map((name) => view.states.size === 0 || view.states.has(name));
    const sourceCode = source.names.indexOf(view.source);
    const modelCode = model.names.indexOf(view.model);
    const isFlagged = { "": () => true, any: (kinds) => kinds.length > 0, none: (kinds) => kinds.length === 0 };
    const flagged = flags.names.map(isFlagged[view.flag] ?? ((kinds) => kinds.includes(view.flag.slice("is ".length))));
    const dated = view.from > 0 || view.until < Infinity;
    return ordered(view.sort).filter((row) =>
      states[state.codes[row]] &&
      (!view.source || source.codes[row] === sourceCode) &&
      (!view.model || model.codes[row] === modelCode) &&
      (!dated || (made[row] >= Math.max(1, view.from) && made[row] < view.until)) &&
      flagged[flags.codes[row]] &&
      (!view.mark || (view.mark === "replaced" ? duomi.marks.ofReplaced(row) : duomi.marks.of(row) === view.mark)));
  }

  /** Find the rows of a view; `show(rows, isDone)` is called at least once unless a newer search begins. */
  duomi.find = async (view, show) => {
    const mine = ++turn;
    const rows = filtered(view);
    const query = fold(view.query.trim().replace(/\s+/g, " "));
    if (!query) {
      show(rows, true);
      return;
    }
    const words = query.split(" ").map(matcher);
    // More letters only narrow a search; more digits are another number.
    const narrows = query.startsWith(finished.query) && !finished.query.split(" ").some(isNumber);
    const among = narrows ? finished.matches : null;
    const matches = new Uint8Array(duomi.index.total);
    const began = performance.now();
    let slice = began;
    let looked = false;
    let end = 0;
    for (let row = 0; row < matches.length; row += 1) {
      if (row === end) {
        end = duomi.endOfPart(row);
        if (!duomi.card(row)) {
          await duomi.loadCard(row);
          if (mine !== turn) return;
        }
      }
      if (!among || among[row]) matches[row] = words.every((isIn) => isIn(haystack(row))) ? 1 : 0;
      if (row % 50 === 0 && performance.now() - slice > SLICE) {
        if (!looked && performance.now() - began > FIRST_LOOK) {
          looked = true;
          show(rows.filter((found) => matches[found]), false);
        }
        await duomi.pause();
        if (mine !== turn) return;
        slice = performance.now();
      }
    }
    finished = { query, matches };
    show(rows.filter((row) => matches[row]), true);
  };

  /** Forget what was found: the index is another one. */
  duomi.forgetFound = () => {
    folded.length = 0;
    orders.clear();
    finished = { query: "", matches: null };
    turn += 1;
  };

  /** Load and fold everything while nobody waits, so that the first search finds it ready. */
  duomi.prepareSearch = async () => {
    const idle = () => new Promise((resolve) => {
      if (window.requestIdleCallback) requestIdleCallback(resolve, { timeout: 2000 });
      else setTimeout(resolve, 50);
    });
    for (let row = 0; row < duomi.index.total;) {
      await idle();
      await duomi.loadCard(row);
      const end = duomi.endOfPart(row);
      let slice = performance.now();
      for (; row < end; row += 1) {
        haystack(row);
        if (performance.now() - slice > SLICE) {
          await idle();
          slice = performance.now();
        }
      }
    }
    duomi.isPrepared = true;
  };
})();
