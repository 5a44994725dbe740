// The page: filters, keys, and what joins grid, search and large view.
"use strict";

(async () => {
  const { el, byId } = duomi;
  const DAY = 86_400;
  const PHONE = matchMedia("(max-width: 700px)");
  const ORDER = ["current", "outdated", "changed", "missing", "failed_for_now", "failed_for_good", "unknown", "retired"];
  const fields = ["source", "model", "flag", "mark", "sort", "from", "until"].map(byId);
  const states = new Set();
  let shownView = null; // the part of the address that says which prompts are shown
  let isTypingOn = false; // letters of one search are one step of Back

  const missing = setTimeout(() => duomi.say("data/index.js could not be loaded: write the gallery again."), 8000);
  await duomi.listed;
  clearTimeout(missing);
  await duomi.ready;

  const viewer = new duomi.Viewer(byId("viewer"), (at, isClosed) => {
    if (viewer.rows === grid.rows && !isVersions()) grid.focus(at, { quietly: !isClosed });
    if (!isClosed) duomi.address.write(seen());
    else if (duomi.address.read().has("open")) { // closed here, not by Back
      if (history.state?.opened) history.back();
      else duomi.address.write(seen());
    }
    if (isClosed && byId("mark").value) update({ stays: true });
  });
  const grid = new duomi.Grid(byId("scroller"), byId("grid"), (at) => open(grid.rows, at));
  const versions = new duomi.Versions(byId("scroller"), byId("versions"), (rows, at, file) => open(rows, at, { file }));

  const isVersions = () => !byId("versions").hidden;

  function open(rows, at, what = {}) {
    const parts = seen();
    parts.set("open", duomi.columns.id[rows[at]]);
    duomi.address.write(parts, { push: true, state: { opened: true } });
    viewer.open(rows, at, what).catch((error) => duomi.say(error.message));
  }

  /** What is seen, as the address tells it. */
  function seen() {
    const parts = new URLSearchParams();
    const add = (name, value) => value && parts.set(name, value);
    add("q", byId("query").value);
    add("state", [...states].join(" "));
    for (const field of fields) if (field.value !== (field.options?.[0].value ?? "")) parts.set(field.id, field.value);
    add("view", isVersions() && "versions");
    if (viewer.dialog.open) {
      add("open", duomi.columns.id[viewer.row]);
      add("file", !viewer.compares && viewer.file);
      add("compare", viewer.compares && "yes");
    }
    return parts;
  }

  /** See what the address tells, and say what of it is not here. */
  async function show() {
    const parts = duomi.address.read();
    const unknown = [];
    byId("query").value = parts.get("q") ?? "";
    states.clear();
    for (const state of (parts.get("state") ?? "").split(" ").filter(Boolean)) {
      if (duomi.columns.state.names.includes(state)) states.add(state);
      else unknown.push(`state ${state}`);
    }
    for (const chip of byId("states").children) chip.setAttribute("aria-pressed", String(states.has(chip.dataset.state)));
    for (const field of fields) {
      const wanted = parts.get(field.id) ?? field.options?.[0].value ?? "";
      field.value = wanted;
      if (field.value === wanted) continue;
      unknown.push(`${field.id} ${wanted}`);
      field.value = field.options?.[0].value ?? "";
    }
    setVersions(parts.get("view") === "versions");
    const [id, file] = [parts.get("open"), parts.get("file")];
    const compares = parts.has("compare");
    const row = id === null ? -1 : duomi.rowOf(id);
    if (id !== null && row < 0) unknown.push(`prompt ${id}`);
    for (const name of ["open", "file", "compare"]) parts.delete(name);
    if (String(parts) !== shownView) await update();
    if (row >= 0) {
      const at = grid.rows.indexOf(row);
      await viewer.open(at < 0 ? Int32Array.of(row) : grid.rows, Math.max(at, 0), { file, compares });
    } else if (viewer.dialog.open) viewer.dialog.close();
    if (unknown.length) {
      duomi.tell(`The link names what is not in this gallery: ${unknown.join(", ")}. It may have another name now, or the gallery is older than the link.`);
    }
  }

  function view() {
    const date = (id) => (byId(id).value ? Date.parse(`${byId(id).value}T00:00:00Z`) / 1000 : null);
    const until = date("until");
    return {
      query: byId("query").value, states, source: byId("source").value, model: byId("model").value,
      flag: byId("flag").value, mark: byId("mark").value, sort: byId("sort").value, from: date("from") ?? 0, until: until === null ? Infinity : until + DAY,
    };
  }

  async function update({ stays = false, renews = false } = {}) {
    const parts = seen();
    for (const name of ["open", "file", "compare"]) parts.delete(name);
    shownView = String(parts);
    try {
      await duomi.find(view(), (rows, isDone) => {
        if (!stays) byId("scroller").scrollTop = 0;
        if (isVersions() && renews) versions.renew(rows);
        else if (isVersions()) versions.show(rows);
        grid.show(rows);
        const { total } = duomi.index;
        const found = rows.length === total ? total.toLocaleString("en") : `${rows.length.toLocaleString("en")} of ${total.toLocaleString("en")}`;
        byId("count").textContent = isDone ? found : `${found} …`;
        const isEmpty = isVersions() ? versions.rows.length === 0 : rows.length === 0;
        byId("empty").hidden = !isEmpty || !isDone;
        byId("empty").textContent = rows.length ? "None of these has a picture." : total ? "Nothing is like that. Reset shows all." : "There are no prompts yet.";
      });
    } catch (error) {
      duomi.say(error.message);
    }
  }

  /** Something was chosen: a step of Back. */
  function chosen() {
    isTypingOn = false;
    duomi.address.write(seen(), { push: true, state: null });
    update();
  }

  function typed() {
    duomi.address.write(seen(), { push: !isTypingOn, state: null });
    isTypingOn = true;
    update();
  }

  function setVersions(isOn) {
    byId("versions").hidden = !isOn;
    byId("grid").hidden = isOn;
    byId("show-versions").setAttribute("aria-pressed", String(isOn));
  }

  function toggleVersions() {
    setVersions(!isVersions());
    chosen();
  }

  /** A field to choose by; it is left out where there is nothing to choose. */
  function options(id, choices, least) {
    const { value: chosen } = byId(id);
    byId(id).replaceChildren(...choices.map(([value, text]) => el("option", { value }, text)));
    byId(id).value = choices.some(([value]) => value === chosen) ? chosen : "";
    byId(id).closest(".field").hidden = choices.length < least;
  }

  const named = (column) => [["", "all"], ...[...duomi.columns[column].names].sort().map((name) => [name, duomi.words(name)])];
  const flagged = () => [["", "all"], ["any", "flagged"], ["none", "not flagged"],
    ...Object.entries(duomi.index.flags).map(([kind, count]) => [`is ${kind}`, `${duomi.words(kind)} (${count.toLocaleString("en")})`])];

  function chips() {
    const counts = new Map();
    for (const code of duomi.columns.state.codes) counts.set(code, (counts.get(code) || 0) + 1);
    const names = ORDER.filter((name) => duomi.columns.state.names.includes(name) || states.has(name));
    const focus = byId("states").contains(document.activeElement) && document.activeElement.dataset.state;
    byId("states").replaceChildren(...names.map((name) => el("button", {
      class: "chip", "data-state": name, "aria-pressed": String(states.has(name)),
      onclick: (event) => {
        if (!states.delete(name)) states.add(name);
        event.currentTarget.setAttribute("aria-pressed", String(states.has(name)));
        chosen();
      },
    }, duomi.words(name), el("span", {}, (counts.get(duomi.columns.state.names.indexOf(name)) ?? 0).toLocaleString("en")))));
    if (focus) byId("states").querySelector(`[data-state="${focus}"]`)?.focus();
  }

  function choices() {
    options("source", named("source"), 3);
    options("model", named("model"), 3);
    options("flag", flagged(), 4);
    chips();
  }

  /** Show what was written since, where one is: search, filters, place and the open picture stay. */
  duomi.renew = async () => {
    const open = viewer.dialog.open ? duomi.columns.id[viewer.row] : null;
    await duomi.loadIndex();
    duomi.forgetFound();
    choices();
    await update({ stays: true, renews: true });
    grid.renew();
    const row = open === null ? -1 : duomi.rowOf(open);
    if (row < 0) return;
    const at = grid.rows.indexOf(row);
    await viewer.renew(at < 0 ? Int32Array.of(row) : grid.rows, Math.max(at, 0));
  };

  function reset() {
    states.clear();
    for (const chip of byId("states").children) chip.setAttribute("aria-pressed", "false");
    for (const field of fields) field.selectedIndex = 0;
    for (const id of ["query", "from", "until"]) byId(id).value = "";
    chosen();
  }

  function key(event) {
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape" && event.target === byId("query")) { byId("query").value = ""; typed(); return; }
    if (event.key === "ArrowDown" && event.target === byId("query")) {
      event.preventDefault();
      if (isVersions()) byId("versions").querySelector(".plain")?.focus();
      else grid.focus(0);
      return;
    }
    if (duomi.isTyping(event) || event.target.matches("input")) return;
    if (event.key === "/") { event.preventDefault(); byId("query").focus(); return; }
    if (event.key === "?") { byId("keys").showModal(); return; }
    if (event.key === "v") { toggleVersions(); return; }
    if (isVersions()) return;
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
    byId("kept").hidden = duomi.marks.rows("pick").every((row) => !duomi.marks.kept(row));
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
  const setSize = () => [grid, versions].forEach((one) => one.setSize(Number(byId("size").value)));
  setSize();
  choices();
  byId("query").addEventListener("input", typed);
  byId("query").addEventListener("blur", () => { isTypingOn = false; });
  for (const field of fields) field.addEventListener("change", chosen);
  byId("size").addEventListener("input", setSize);
  byId("reset").addEventListener("click", reset);
  byId("export").addEventListener("click", exportMarks);
  byId("archive").addEventListener("click", duomi.saveArchive);
  byId("choose-folder").addEventListener("click", () => byId("folder").click());
  byId("folder").addEventListener("change", (event) => duomi.takeFolder(event.target.files));
  byId("show-versions").addEventListener("click", toggleVersions);
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
    if (byId("mark").value && !byId("viewer").open && !isVersions()) update({ stays: true });
  });
  addEventListener("popstate", () => show());

  await show();
  const replaced = duomi.marks.replaced().length;
  if (replaced) {
    duomi.tell(`${duomi.count(replaced, "mark")} of yours ${replaced === 1 ? "was" : "were"} of a picture that another one replaced since: void now.`, "Show", () => {
      byId("mark").value = "replaced";
      chosen();
    });
  }
  duomi.prepareSearch().catch(() => {});
  duomi.whenShown?.();
  performance.mark("duomi-shown");
})();
