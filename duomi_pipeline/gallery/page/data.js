// Data: an index of all prompts in columns, and shards that are loaded when they are needed.
"use strict";

(() => {
  const waiting = new Map();
  const shards = { cards: [], details: [] };
  let started;
  let rows;

  duomi.ready = new Promise((resolve) => { started = resolve; });

  /** What every data file calls. */
  duomi.receive = (name, number, content) => {
    if (name === "index") {
      for (const [kind, parts] of Object.entries(shards)) {
        for (const at of Object.keys(parts)) if (duomi.index.files[kind][at] !== number.files[kind][at]) forget(kind, at);
      }
      rows = undefined;
      duomi.index = number;
      duomi.columns = number.columns;
      started();
      return;
    }
    shards[name][number] = content;
    waiting.get(`${name}-${number}`)?.resolve(content);
  };

  /** A part that was written anew since. */
  function forget(kind, number) {
    delete shards[kind][number];
    waiting.delete(`${kind}-${number}`);
  }

  /** Load the index as it was written since; parts that did not change are kept. */
  duomi.loadIndex = async () => {
    await Promise.allSettled([...waiting.values()].map((one) => one.promise)); // none of the old ones comes later
    await new Promise((resolve, reject) => {
      const script = duomi.el("script", { src: `data/index.js?${Date.now()}` });
      script.onload = () => { script.remove(); resolve(); };
      script.onerror = () => { script.remove(); reject(new Error("data/index.js could not be loaded")); };
      document.head.append(script);
    });
  };

  function load(kind, number) {
    const key = `${kind}-${number}`;
    if (!waiting.has(key)) {
      const entry = {};
      entry.promise = new Promise((resolve, reject) => { entry.resolve = resolve; entry.reject = reject; });
      waiting.set(key, entry);
      const script = duomi.el("script", { src: `data/${duomi.index.files[kind][number]}` });
      script.onload = () => script.remove();
      script.onerror = () => {
        script.remove();
        waiting.delete(key);
        duomi.say("The gallery was written anew, or part of it is missing: load the page again.");
        entry.reject(new Error(`data/${duomi.index.files[kind][number]} could not be loaded`));
      };
      document.head.append(script);
    }
    return waiting.get(key).promise;
  }

  const shardOf = (row) => Math.floor(row / duomi.index.shard);

  /** A card's text, picture and reason; `null` while its shard is not loaded. */
  duomi.card = (row) => {
    const shard = shards.cards[shardOf(row)];
    if (!shard) return null;
    const at = row % duomi.index.shard;
    return { text: shard.text[at], picture: shard.picture[at], reason: shard.reason[at], seeds: shard.seeds[at] };
  };

  duomi.loadCards = (number) => load("cards", number);
  duomi.loadCard = (row) => load("cards", shardOf(row)).then(() => duomi.card(row));
  duomi.loadDetails = async (row) => (await load("details", shardOf(row)))[row % duomi.index.shard];

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
