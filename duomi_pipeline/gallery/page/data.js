// Data: an index, the columns of all prompts, and parts of some hundred cards that are loaded when they are needed.
"use strict";

(() => {
  const KINDS = ["columns", "cards", "details"]; // of files, in the order in which the index names them
  const CODED = ["state", "source", "model", "flags"];
  const TRIES = 3; // to load an index of which a part is gone, because all was written anew meanwhile
  const waiting = new Map(); // what is loaded or was asked for, by file
  let read; // the index that came last
  let starts; // the first row of each part
  let rows;
  let isListed;

  duomi.listed = new Promise((resolve) => { isListed = resolve; });
  duomi.ready = duomi.listed.then(takeIndex);

  /** What every data file calls. */
  duomi.receive = (kind, key, content) => {
    if (kind === "index") {
      read = key;
      isListed();
    } else waiting.get(`${kind}-${key}.js`)?.take(content);
  };

  /** Take the index that came, once the columns that it names are there; parts that did not change are kept. */
  async function takeIndex() {
    for (let left = TRIES; ; left -= 1) {
      const index = read;
      try {
        const columns = await Promise.all(index.parts.map(([, key]) => load("columns", key)));
        const named = new Set(index.parts.flatMap(([, ...keys]) => keys.map((key, at) => `${KINDS[at]}-${key}.js`)));
        for (const [name, { content }] of waiting) if (content && !named.has(name)) waiting.delete(name);
        starts = [];
        index.parts.reduce((row, [count]) => { starts.push(row); return row + count; }, 0);
        rows = undefined;
        duomi.columns = joined(columns);
        duomi.index = index;
        return;
      } catch (error) {
        if (left === 1) throw error;
      }
      await include(`index.js?${Date.now()}`);
    }
  }

  /** The columns of all parts as one. */
  function joined(parts) {
    const all = (column) => [].concat(...parts.map((part) => part[column]));
    const columns = Object.fromEntries(["id", "title", "made", "versions"].map((column) => [column, all(column)]));
    for (const column of CODED) {
      const known = new Map(); // code and value by its text
      const codes = [];
      for (const part of parts) {
        const own = part[column].names.map((value) => {
          const text = JSON.stringify(value);
          if (!known.has(text)) known.set(text, { code: known.size, value });
          return known.get(text).code;
        });
        for (const code of part[column].codes) codes.push(own[code]);
      }
      columns[column] = { names: [...known.values()].map(({ value }) => value), codes };
    }
    return columns;
  }

  /** Load the index as it was written since. */
  duomi.loadIndex = async () => {
    await include(`index.js?${Date.now()}`);
    await takeIndex();
  };

  function include(file) {
    return new Promise((resolve, reject) => {
      const script = duomi.el("script", { src: `data/${file}` });
      script.onload = () => { script.remove(); resolve(); };
      script.onerror = () => { script.remove(); reject(new Error(`data/${file.split("?")[0]} could not be loaded`)); };
      document.head.append(script);
    });
  }

  function load(kind, key) {
    const file = `${kind}-${key}.js`;
    if (!waiting.has(file)) {
      const entry = { content: null };
      entry.promise = new Promise((resolve, reject) => {
        entry.take = (content) => { entry.content = content; resolve(content); };
        include(file).catch((error) => { waiting.delete(file); reject(error); });
      });
      waiting.set(file, entry);
    }
    return waiting.get(file).promise;
  }

  function loadPart(kind, number) {
    const loaded = load(kind, duomi.index.parts[number][1 + KINDS.indexOf(kind)]);
    loaded.catch(() => duomi.say("The gallery was written anew, or part of it is missing: load the page again."));
    return loaded;
  }

  /** The number of the part in which a row is. */
  function partOf(row) {
    let [low, high] = [0, starts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= row) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  const cardAt = ({ text, picture, reason, seeds }, at) => (
    { text: text[at], picture: picture[at], reason: reason[at], seeds: seeds[at] });

  /** A card's text, picture and reason; `null` while its part is not loaded. */
  duomi.card = (row) => {
    const number = partOf(row);
    const part = waiting.get(`cards-${duomi.index.parts[number][2]}.js`)?.content;
    return part ? cardAt(part, row - starts[number]) : null;
  };

  duomi.loadCard = async (row) => {
    const number = partOf(row);
    const start = starts[number];
    return cardAt(await loadPart("cards", number), row - start);
  };
  duomi.loadDetails = async (row) => {
    const number = partOf(row);
    const start = starts[number];
    return (await loadPart("details", number))[row - start];
  };
  /** The first row behind the part in which a row is. */
  duomi.endOfPart = (row) => starts[partOf(row) + 1] ?? duomi.index.total;

  const named = (column, row) => duomi.columns[column].names[duomi.columns[column].codes[row]];
  duomi.state = (row) => named("state", row);
  duomi.source = (row) => named("source", row);
  duomi.model = (row) => named("model", row);
  /** The kinds of its flags. */
  duomi.flags = (row) => named("flags", row);

  /** The row of a prompt id, -1 where there is none. */
  duomi.rowOf = (id) => {
    rows ??= new Map(duomi.columns.id.map((one, row) => [one, row]));
    return rows.get(id) ?? -1;
  };

  duomi.pictureAddress = (file) => duomi.index.pictures + encodeURIComponent(file);
  duomi.thumbnailAddress = (file) => `thumbnails/${encodeURIComponent(file.replace(/\.png$/, ""))}.webp`;
})();
