// The grid of versions: models across, prompts down, made of pictures that exist. Lines come as they are scrolled to, and
// the browser lays out only those in sight (content-visibility).
"use strict";

(() => {
  const { el, byId } = duomi;
  const PORTION = 40; // lines that are added at once

  const short = (model) => model.split("/").pop();

  duomi.Versions = class {
    constructor(scroller, table, open) {
      Object.assign(this, { scroller, table, open, rows: [], lines: new Map(), made: 0, turn: 0 });
      this.more = el("div", { class: "more", "aria-hidden": "true" });
      new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) this.add(); }, { root: scroller, rootMargin: "1500px" })
        .observe(this.more);
      table.after(this.more);
      table.addEventListener("keydown", (event) => this.key(event));
      duomi.marks.onChange((row) => this.refresh(row));
    }

    setSize(size) { this.table.style.setProperty("--cell", `${size}px`); }

    /** Show the prompts of some rows, those with pictures, with a column per model that made any of all. */
    show(rows) {
      this.rows = rows.filter((row) => duomi.columns.versions[row] > 0);
      Object.assign(this, { made: 0, turn: this.turn + 1, busy: false });
      this.lines.clear();
      this.models = duomi.index.models;
      this.table.style.setProperty("--models", this.models.length);
      this.table.setAttribute("aria-rowcount", this.rows.length + 1);
      this.table.replaceChildren(el("div", { role: "row", class: "head", "aria-rowindex": 1 },
        el("span", { role: "columnheader" }, "Prompt"),
        this.models.map((model) => el("span", { role: "columnheader", title: model }, short(model)))));
      this.table.hidden = this.rows.length === 0;
      this.add();
    }

    async add() {
      if (this.busy || this.made >= this.rows.length || byId("versions").hidden) return;
      const mine = this.turn;
      this.busy = true;
      const portion = this.rows.slice(this.made, this.made + PORTION);
      const details = await Promise.all([...portion].map((row) => Promise.all([duomi.loadDetails(row), duomi.loadCard(row)])));
      if (mine !== this.turn) return;
      const lines = [...portion].map((row, at) => {
        const line = el("div", { role: "row", class: "prompt-line", "aria-rowindex": this.made + at + 2 });
        this.lines.set(row, { line, details: details[at][0], at: this.made + at });
        this.fill(row);
        return line;
      });
      this.table.append(...lines);
      this.made += portion.length;
      this.busy = false;
      const below = this.more.getBoundingClientRect().top - this.scroller.getBoundingClientRect().bottom;
      if (below < 1500) requestAnimationFrame(() => this.add()); // the observer tells a change only
    }

    /** Show the same rows as they are now, each line in its place; other rows or models as if for the first time. */
    async renew(rows) {
      const wanted = rows.filter((row) => duomi.columns.versions[row] > 0);
      if (String(wanted) !== String(this.rows) || String(this.models) !== String(duomi.index.models)) {
        this.show(rows);
        return;
      }
      for (const [row, one] of this.lines) {
        const [details] = await Promise.all([duomi.loadDetails(row), duomi.loadCard(row)]);
        const isSame = JSON.stringify(details) === JSON.stringify(one.details);
        one.details = details;
        if (!isSame) this.fill(row);
      }
    }

    refresh(row) {
      for (const one of row === null ? this.lines.keys() : [row]) if (this.lines.has(one)) this.fill(one);
    }

    fill(row) {
      const { line, details, at } = this.lines.get(row);
      const focus = line.contains(document.activeElement) && document.activeElement.dataset.is;
      const { id, title } = duomi.columns;
      line.replaceChildren(
        el("span", { role: "rowheader" },
          el("b", { dir: "auto" }, title[row]), el("code", {}, id[row]),
          el("span", { class: "pill", "data-state": duomi.state(row) }, duomi.words(duomi.state(row))),
          duomi.marks.ofReplaced(row) && el("span", { class: "replaced" }, duomi.replaced(row))),
        ...this.models.map((model) => el("span", { role: "cell" }, this.cell(row, at, model, details.versions.filter((one) => one.model === model)))));
      if (focus) line.querySelector(`[data-is="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
    }

    /** A model's version of a prompt: the marked one, else the one in use, else the newest. */
    cell(row, at, model, versions) {
      const version = versions.find((one) => duomi.marks.ofVersion(row, one) !== "none") ?? versions.find((one) => one.current) ?? versions[0];
      if (!version) return el("span", { class: "none" }, el("span", { class: "hidden" }, "none"), "–");
      const mark = duomi.marks.ofVersion(row, version);
      const seed = version.seed ?? version.settings.seed;
      const name = [duomi.columns.title[row], short(model), version.current && "in use", mark !== "none" && `${mark}ed`,
        seed !== undefined && `seed ${seed}`, versions.length > 1 && `${versions.length} versions`].filter(Boolean).join(", ");
      const button = (kind, text) => el("button", {
        class: "small", "aria-pressed": String(mark === kind), "data-is": `${kind} ${model}`, tabindex: "-1",
        "aria-label": `${text}: ${duomi.columns.title[row]}, ${short(model)}`,
        onclick: () => duomi.marks.toggle(row, kind, version),
      }, text);
      return el("span", { class: "cell", "data-mark": mark, "data-used": version.current ? "yes" : null },
        el("button", {
          class: "plain", "aria-label": name, "data-is": `picture ${model}`,
          onclick: () => this.open(this.rows, at, version.files[0][0]),
        },
          el("img", { src: duomi.thumbnailAddress(version.files[0][0]), alt: "", loading: "lazy", decoding: "async", draggable: "false" }),
          version.current && el("span", { class: "badge" }, "in use"),
          versions.length > 1 && el("span", { class: "corner" }, el("span", { class: "count" }, String(versions.length))),
          mark !== "none" && el("span", { class: "mark" }, mark === "pick" ? "★" : "✕")),
        el("span", { class: "choices" }, button("pick", "Keep"), version.current && button("reject", "Reject")),
        duomi.actions && el("span", { class: "choices actions" }, duomi.actions.ofVersion(row, version, short(model))));
    }

    /** Arrows go from picture to picture; p and x mark the one in focus. */
    key(event) {
      const cell = event.target.closest(".cell");
      if (!cell || event.ctrlKey || event.metaKey || event.altKey) return;
      const act = { p: 0, x: 1 }[event.key];
      const [across, down] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
      if (act !== undefined) {
        const choice = cell.querySelectorAll(".choices:not(.actions) button")[act];
        if (choice) choice.click();
        else duomi.say("The picture in use can be rejected: it is made again. This one is not in use.");
      } else if (across || down) {
        let line = cell.closest(".prompt-line");
        let place = [...line.children].indexOf(cell.parentElement);
        let next = null;
        while (line?.matches(".prompt-line") && line.children[place] && !next) { // past places where there is no picture
          place += across;
          if (down) line = down > 0 ? line.nextElementSibling : line.previousElementSibling;
          next = line?.children[place]?.querySelector(".plain");
        }
        next?.focus();
      } else return;
      event.preventDefault();
      event.stopPropagation();
    }
  };
})();
