// The page: filters, keys, and what joins grid, search and large view.
"use strict";

(async () => {
  const { el, byId } = duomi;
  const DAY = 86_400;
  const PHONE = matchMedia("(max-width: 700px)");
  const ORDER = ["current", "outdated", "changed", "missing", "failed_for_now", "failed_for_good", "unknown", "retired"];
  const fields = ["source", "model", "flag", "mark", "sort"].map(byId);
  const states = new Set();

  const missing = setTimeout(() => duomi.say("data/index.js could not be loaded: write the gallery again."), 8000);
  await duomi.ready;
  clearTimeout(missing);
  const { columns, total } = duomi.index;

  const viewer = new duomi.Viewer(byId("viewer"), (at, isClosed) => {
    grid.focus(at, { quietly: !isClosed });
    remember(isClosed ? "" : columns.id[viewer.row]);
    if (isClosed && byId("mark").value) update({ stays: true });
  });
  const grid = new duomi.Grid(byId("scroller"), byId("grid"), (at) => viewer.open(grid.rows, at));

  function view() {
    const date = (id) => (byId(id).value ? Date.parse(`${byId(id).value}T00:00:00Z`) / 1000 : null);
    const until = date("until");
    return {
      query: byId("query").value, states, source: byId("source").value, model: byId("model").value,
      flag: byId("flag").value, mark: byId("mark").value, sort: byId("sort").value, from: date("from") ?? 0, until: until === null ? Infinity : until + DAY,
    };
  }

  function update({ stays = false } = {}) {
    duomi.find(view(), (rows, isDone) => {
      if (!stays) byId("scroller").scrollTop = 0;
      grid.show(rows);
      const found = rows.length === total ? total.toLocaleString("en") : `${rows.length.toLocaleString("en")} of ${total.toLocaleString("en")}`;
      byId("count").textContent = isDone ? found : `${found} …`;
      byId("empty").hidden = rows.length > 0 || !isDone;
      byId("empty").textContent = total ? "Nothing is like that. Reset shows all." : "There are no prompts yet.";
    }).catch((error) => duomi.say(error.message));
  }

  /** A field to choose by; it is left out where there is nothing to choose. */
  function options(id, choices, least) {
    byId(id).append(...choices.map(([value, text]) => el("option", { value }, text)));
    byId(id).closest(".field").hidden = choices.length < least;
  }

  const named = (column) => [["", "all"], ...[...columns[column].names].sort().map((name) => [name, duomi.words(name)])];
  const flagged = () => [["", "all"], ["any", "flagged"], ["none", "not flagged"],
    ...Object.entries(duomi.index.flags).map(([kind, count]) => [`is ${kind}`, `${duomi.words(kind)} (${count.toLocaleString("en")})`])];

  function chips() {
    const counts = new Map();
    for (const code of columns.state.codes) counts.set(code, (counts.get(code) || 0) + 1);
    const names = ORDER.filter((name) => columns.state.names.includes(name));
    byId("states").append(...names.map((name) => el("button", {
      class: "chip", "data-state": name, "aria-pressed": "false",
      onclick: (event) => {
        if (!states.delete(name)) states.add(name);
        event.currentTarget.setAttribute("aria-pressed", String(states.has(name)));
        update();
      },
    }, duomi.words(name), el("span", {}, counts.get(columns.state.names.indexOf(name)).toLocaleString("en")))));
  }

  function reset() {
    states.clear();
    for (const chip of byId("states").children) chip.setAttribute("aria-pressed", "false");
    for (const field of fields) field.selectedIndex = 0;
    for (const id of ["query", "from", "until"]) byId(id).value = "";
    update();
  }

  function remember(id) {
    try { history.replaceState(null, "", id ? `#${encodeURIComponent(id)}` : location.pathname + location.search); } catch { /* not from here */ }
  }

  function key(event) {
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape" && event.target === byId("query")) { byId("query").value = ""; update(); return; }
    if (event.key === "ArrowDown" && event.target === byId("query")) { event.preventDefault(); grid.focus(0); return; }
    if (duomi.isTyping(event) || event.target.matches("input")) return;
    if (event.key === "/") { event.preventDefault(); byId("query").focus(); return; }
    if (event.key === "?") { byId("keys").showModal(); return; }
    if (event.target !== document.body && !byId("scroller").contains(event.target)) return;
    const isOnCard = event.target.matches(".card");
    if (!isOnCard && event.key.startsWith("Arrow")) { event.preventDefault(); grid.focus(grid.focused); return; }
    if (grid.move(event.key)) { event.preventDefault(); return; }
    const mark = { p: "pick", x: "reject" }[event.key];
    if (mark && isOnCard) duomi.marks.toggle(grid.rows[grid.focused], mark);
  }

  function exportMarks() {
    const [picks, rejects] = ["pick", "reject"].map((mark) => duomi.marks.rows(mark).length);
    if (picks + rejects === 0) {
      duomi.say("Nothing is marked yet: p picks a card, x rejects it.");
      return;
    }
    duomi.marks.download();
    byId("exported-count").textContent = `${picks} picked, ${rejects} rejected.`;
    byId("reroll").hidden = rejects === 0;
    byId("exported").showModal();
  }

  async function loadMarks(event) {
    const [file] = event.target.files;
    event.target.value = ""; // so that the same file can be chosen again
    try {
      duomi.say(await duomi.marks.load(await file.text()));
    } catch {
      duomi.say(`${file.name} is no file of marks: export one here.`);
    }
  }

  byId("size").value = PHONE.matches ? 110 : 180;
  grid.setSize(Number(byId("size").value));
  options("source", named("source"), 3);
  options("model", named("model"), 3);
  options("flag", flagged(), 4);
  chips();
  byId("query").addEventListener("input", () => update());
  for (const field of [...fields, byId("from"), byId("until")]) field.addEventListener("change", () => update());
  byId("size").addEventListener("input", (event) => grid.setSize(Number(event.target.value)));
  byId("reset").addEventListener("click", reset);
  byId("export").addEventListener("click", exportMarks);
  byId("load").addEventListener("click", () => byId("marks-file").click());
  byId("marks-file").addEventListener("change", loadMarks);
  byId("theme").addEventListener("click", window.duomiToggleTheme);
  byId("help").addEventListener("click", () => byId("keys").showModal());
  byId("show-filters").addEventListener("click", (event) => {
    const isOpen = byId("filters").classList.toggle("open");
    event.currentTarget.setAttribute("aria-expanded", String(isOpen));
  });
  document.addEventListener("keydown", key);
  duomi.marks.onChange((row) => {
    grid.refresh(row);
    if (byId("mark").value && !byId("viewer").open) update({ stays: true });
  });

  update();
  const wanted = location.hash ? grid.rows.indexOf(columns.id.indexOf(decodeURIComponent(location.hash.slice(1)))) : -1;
  if (wanted >= 0) viewer.open(grid.rows, wanted);
  duomi.prepareSearch().catch(() => {});
  performance.mark("duomi-shown");
})();
