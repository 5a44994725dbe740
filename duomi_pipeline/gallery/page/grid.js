// The grid: only cards in sight are elements. Rows have one height, so any place of 100,000 cards is a multiplication.
"use strict";

(() => {
  const { el } = duomi;
  const GAP = 12;
  const CAPTION = 40;
  const OVERSCAN = 1; // rows above and below the window
  const TALLEST = 12_000_000; // pixels; browsers cut elements off at 17 million and more

  duomi.Grid = class {
    constructor(scroller, list, open) {
      Object.assign(this, { scroller, list, open, rows: new Int32Array(0), nodes: new Map(), size: 180, focused: 0 });
      scroller.addEventListener("scroll", () => this.later(), { passive: true });
      new ResizeObserver(() => this.layout()).observe(scroller);
      list.addEventListener("click", (event) => {
        const button = event.target.closest("button");
        if (button) this.open(Number(button.dataset.at));
      });
      list.addEventListener("focusin", (event) => { this.focused = Number(event.target.dataset.at); });
    }

    show(rows) {
      const before = this.rows[this.focused];
      this.rows = rows;
      const again = before === undefined ? -1 : rows.indexOf(before);
      this.focused = Math.max(0, again);
      this.layout();
    }

    setSize(size) {
      this.size = size;
      this.layout();
    }

    layout() {
      const width = this.scroller.clientWidth - 2 * GAP;
      if (width <= 0) return;
      this.columns = Math.max(2, Math.floor((width + GAP) / (this.size + GAP)));
      this.width = (width + GAP) / this.columns - GAP;
      this.height = Math.round((this.width * 16) / 9) + CAPTION;
      const lines = Math.ceil(this.rows.length / this.columns);
      this.tall = lines * (this.height + GAP) + GAP;
      this.list.style.height = `${Math.min(this.tall, TALLEST)}px`;
      this.draw();
    }

    /** How far the scrolled place is from the true one, where the whole would be taller than browsers allow. */
    get stretch() {
      const sight = this.scroller.clientHeight;
      return this.tall > TALLEST ? (this.tall - sight) / (TALLEST - sight) : 1;
    }

    later() {
      this.frame ??= requestAnimationFrame(() => { this.frame = null; this.draw(); });
    }

    draw() {
      const sight = this.scroller.clientHeight;
      const scrolled = this.scroller.scrollTop;
      const top = scrolled * this.stretch;
      const line = this.height + GAP;
      const first = Math.max(0, Math.floor(top / line) - OVERSCAN) * this.columns;
      const last = Math.min(this.rows.length, (Math.ceil((top + sight) / line) + OVERSCAN) * this.columns);
      const kept = new Map();
      const inSight = new Set(this.rows.subarray(first, last));
      for (const [row, node] of this.nodes) {
        if (inSight.has(row)) continue;
        node.querySelector("img")?.removeAttribute("src"); // stops a load that nobody waits for
        node.remove();
        this.nodes.delete(row);
      }
      let next = this.list.firstChild;
      for (let at = first; at < last; at += 1) {
        const row = this.rows[at];
        const node = this.nodes.get(row) || this.make(row);
        kept.set(row, node);
        const x = GAP + (at % this.columns) * (this.width + GAP);
        const y = GAP + Math.floor(at / this.columns) * line - top + scrolled;
        node.style.transform = `translate(${x}px,${y}px)`;
        node.style.width = `${this.width}px`;
        node.style.height = `${this.height}px`;
        node.setAttribute("aria-posinset", at + 1);
        node.setAttribute("aria-setsize", this.rows.length);
        node.firstChild.dataset.at = at;
        node.firstChild.tabIndex = at === this.focused ? 0 : -1;
        if (node !== next) this.list.insertBefore(node, next); // in reading order, for screen readers and Tab
        else next = next.nextSibling;
      }
      this.nodes = kept;
    }

    make(row) {
      const button = el("button", { class: "card" });
      const node = el("li", {}, button);
      const card = duomi.card(row);
      if (card) fill(button, row, card);
      else duomi.loadCard(row).then((loaded) => fill(button, row, loaded), () => {});
      return node;
    }

    /** Draw what is in sight as it is now. */
    renew() {
      for (const [row, node] of this.nodes) duomi.loadCard(row).then((card) => fill(node.firstChild, row, card), () => {});
    }

    /** Draw a row's card again, or all in sight: marks changed. */
    refresh(row) {
      if (row === null) {
        for (const one of this.nodes.keys()) this.refresh(one);
        return;
      }
      const node = this.nodes.get(row);
      const card = duomi.card(row);
      if (node && card) fill(node.firstChild, row, card);
    }

    /** Bring a place into sight and give its card the focus. */
    focus(at, { quietly = false } = {}) {
      if (!this.rows.length) return;
      this.focused = Math.min(Math.max(0, at), this.rows.length - 1);
      const line = this.height + GAP;
      const top = Math.floor(this.focused / this.columns) * line;
      const seen = this.scroller.scrollTop * this.stretch;
      if (top < seen) this.scroller.scrollTop = top / this.stretch;
      else if (top + line + GAP > seen + this.scroller.clientHeight) {
        this.scroller.scrollTop = (top + line + GAP - this.scroller.clientHeight) / this.stretch;
      }
      this.draw();
      if (!quietly) this.nodes.get(this.rows[this.focused])?.firstChild.focus({ preventScroll: true });
    }

    move(key) {
      const page = Math.max(1, Math.floor(this.scroller.clientHeight / (this.height + GAP))) * this.columns;
      const steps = {
        ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns,
        PageUp: -page, PageDown: page, Home: -this.rows.length, End: this.rows.length,
      };
      if (!(key in steps)) return false;
      this.focus(this.focused + steps[key]);
      return true;
    }
  };

  function fill(button, row, card) {
    const { id, title, versions } = duomi.columns;
    const state = duomi.state(row);
    const mark = duomi.marks.of(row);
    const kinds = duomi.flags(row).map(duomi.words).join(", ");
    const flags = kinds && el("span", { class: "flags", title: `Flagged: ${kinds}` }, `⚑ ${duomi.flags(row).length}`);
    button.dataset.state = state;
    button.dataset.mark = mark;
    const model = duomi.model(row).split("/").pop();
    const sub = duomi.source(row) === "database" ? `${id[row]} · ${model}` : model;
    const told = [duomi.words(state), mark === "none" ? null : `${mark}ed`, versions[row] > 1 ? `${versions[row]} versions` : null,
      duomi.marks.ofReplaced(row) && duomi.replaced(row), duomi.marks.kept(row) && "an earlier version is kept",
      kinds && `flagged: ${kinds}`, card.reason].filter(Boolean).join(", ");
    const picture = card.picture && el("img", { src: duomi.thumbnailAddress(card.picture), alt: "", decoding: "async", draggable: "false" });
    picture?.addEventListener("error", () => picture.classList.add("broken"));
    button.replaceChildren( // the name of a button is its text: title first
      el("span", { class: "caption" },
        el("span", { class: "title", dir: "auto" }, title[row]), " ", el("span", { class: "sub" }, sub)),
      el("span", { class: "hidden" }, `, ${told}`),
      el("span", { class: "frame", "aria-hidden": "true" }, // what it shows is told in words
        picture,
        !card.picture && el("span", { class: "note" },
          el("b", {}, duomi.words(state)),
          flags,
          el("span", { class: "reason", dir: "auto" }, card.reason || ""),
          el("q", { dir: "auto" }, card.text)),
        card.picture && state !== "current" && el("span", { class: card.reason ? "badge wide" : "badge" },
          el("b", {}, duomi.words(state)), card.reason && el("span", { dir: "auto" }, card.reason)),
        el("span", { class: "corner" },
          versions[row] > 1 && el("span", { class: "count", title: `${versions[row]} versions` }, String(versions[row])),
          card.picture && flags),
        mark !== "none" && el("span", { class: "mark" }, mark === "pick" ? "★" : "✕"),
        duomi.marks.ofReplaced(row) && el("span", { class: "mark old", title: duomi.replaced(row) },
          duomi.marks.ofReplaced(row) === "pick" ? "★ earlier" : "✕ earlier")));
  }
})();
