// The large view: one prompt's picture with all that is known of it, or its versions side by side.
"use strict";

(() => {
  const { el } = duomi;

  duomi.Viewer = class {
    constructor(dialog, moved) {
      Object.assign(this, { dialog, moved, rows: [], at: 0, shown: 0, compares: false, turn: 0 });
      this.zone = el("select", { "aria-label": "Zones that apps cover", onchange: () => { duomi.zone = this.zone.value || null; this.draw(); } },
        el("option", { value: "" }, "zones"), duomi.zoneNames.map((name) => el("option", { value: name }, name)));
      this.place = el("output", { class: "place" });
      this.pick = el("button", { onclick: () => this.mark("pick"), "aria-label": "Pick" }, "★", el("span", {}, " Pick"));
      this.reject = el("button", { onclick: () => this.mark("reject"), "aria-label": "Reject" }, "✕", el("span", {}, " Reject"));
      this.compare = el("button", { onclick: () => this.toggleCompare() }, "Compare");
      this.stage = el("div", { class: "stage", tabindex: "0", role: "group", "aria-label": "Picture" });
      this.zoom = new duomi.Zoom(this.stage, () => this.drawZoom());
      this.zoomed = el("output", { class: "zoomed-to" });
      this.zooms = el("span", { class: "zooms", role: "group", "aria-label": "Zoom" },
        el("button", { "aria-label": "Smaller", onclick: () => this.zoom.step(-1) }, "−"), this.zoomed,
        el("button", { "aria-label": "Larger", onclick: () => this.zoom.step(1) }, "+"));
      this.panel = el("aside", { class: "panel", tabindex: "0", "aria-label": "Prompt, settings and history" });
      dialog.append(
        el("div", { class: "tools" }, this.place, el("span", { class: "gap" }), this.zooms, this.pick, this.reject, this.compare, this.zone,
          el("button", { class: "close", onclick: () => dialog.close() }, "Close")),
        el("div", { class: "inside" },
          el("button", { class: "turn", "aria-label": "Previous", onclick: () => this.go(-1) }, "‹"),
          this.stage,
          el("button", { class: "turn", "aria-label": "Next", onclick: () => this.go(1) }, "›"),
          this.panel));
      dialog.addEventListener("keydown", (event) => this.key(event));
      dialog.addEventListener("close", () => { this.moved(this.at, true); });
    }

    get row() { return this.rows[this.at]; }

    /** Show a place of some rows: the picture in use, or the version of that file, or all side by side. */
    async open(rows, at, { file = null, compares = false } = {}) {
      Object.assign(this, { rows, compares });
      if (!this.dialog.open) this.dialog.showModal();
      this.dialog.focus({ preventScroll: true });
      await this.goTo(at, file);
    }

    /** The file of the shown version, where it is not the one in use. */
    get file() { return this.details?.versions[this.shown] && this.shown !== this.inUse ? this.details.versions[this.shown].files[0][0] : null; }

    get inUse() { return Math.max(0, this.details.versions.findIndex((one) => one.current)); }

    go(step) {
      const next = this.at + step;
      if (next >= 0 && next < this.rows.length) this.goTo(next);
    }

    async goTo(at, file = null) {
      const mine = ++this.turn;
      this.at = at;
      this.place.textContent = `${(at + 1).toLocaleString("en")} of ${this.rows.length.toLocaleString("en")}`;
      const [card, details] = await Promise.all([duomi.loadCard(this.row), duomi.loadDetails(this.row)]);
      if (mine !== this.turn) return;
      this.card = card;
      this.details = details;
      const named = details.versions.findIndex((one) => one.files.some(([name]) => name === file));
      this.shown = named >= 0 ? named : this.inUse;
      if (file && named < 0) duomi.tell(`The picture ${file} is not among the versions here: its file is gone, or the gallery was written without it.`);
      this.compares = this.compares && details.versions.length > 1;
      this.draw();
      this.panel.scrollTop = 0;
      this.prefetch();
    }

    /** Show the same picture's prompt as it is now; another version, where the one in use was shown and has changed. */
    async renew(rows, at) {
      const shown = this.details?.versions[this.shown]?.files[0][0];
      const wasInUse = this.details && this.shown === this.inUse;
      Object.assign(this, { rows, at });
      const [card, details] = await Promise.all([duomi.loadCard(this.row), duomi.loadDetails(this.row)]);
      const isSame = JSON.stringify([card, details]) === JSON.stringify([this.card, this.details]);
      if (!isSame) await this.goTo(at, wasInUse ? null : shown);
    }

    /** The neighbours' pictures, so that an arrow key shows them at once. */
    prefetch() {
      for (const row of [this.rows[this.at + 1], this.rows[this.at - 1]]) {
        const file = row !== undefined && duomi.card(row)?.picture;
        if (file) new Image().src = duomi.pictureAddress(file);
      }
    }

    drawMarks() {
      const version = this.details.versions[this.shown];
      const mark = version ? duomi.marks.ofVersion(this.row, version) : duomi.marks.of(this.row);
      this.reject.disabled = version !== undefined && this.shown !== this.inUse;
      this.reject.title = this.reject.disabled ? "Only the picture in use is made again" : "";
      this.pick.setAttribute("aria-pressed", String(mark === "pick"));
      this.reject.setAttribute("aria-pressed", String(mark === "reject"));
    }

    draw() {
      const several = this.details.versions.length;
      this.drawMarks();
      this.zoom.to(1);
      this.zooms.hidden = this.compares || several === 0;
      this.compare.hidden = several < 2;
      this.compare.textContent = `Compare ${several}`;
      this.compare.setAttribute("aria-pressed", String(this.compares));
      this.zone.value = duomi.zone || "";
      this.dialog.classList.toggle("comparing", this.compares);
      this.dialog.setAttribute("aria-label", `Large view: ${duomi.columns.title[this.row]}`);
      if (this.compares) {
        this.stage.replaceChildren(...duomi.comparison(this.details, picture, (number) => this.choose(number)));
      } else {
        this.drawPanel();
        this.stage.replaceChildren(...this.pictures());
      }
      this.moved(this.at, false);
    }

    drawPanel() {
      this.panel.replaceChildren(...duomi.panel(this.row, this.card, this.details, this.shown, (number) => this.choose(number)));
    }

    choose(number) {
      Object.assign(this, { shown: number, compares: false });
      this.draw();
    }

    drawZoom() { this.zoomed.textContent = `${Math.round(this.zoom.factor * 100)} %`; }

    pictures() {
      const version = this.details.versions[this.shown];
      const isAway = !this.card.picture && !version;
      if (isAway) {
        return [el("p", { class: "absent" }, el("b", {}, duomi.words(duomi.state(this.row))), el("span", { dir: "auto" }, this.card.reason || ""))];
      }
      const alt = `${duomi.columns.title[this.row]}: ${this.card.text.slice(0, 200)}`;
      return version.files.map(([file]) => picture(file, alt));
    }

    mark(mark) {
      const version = this.details.versions[this.shown] ?? null;
      if (mark === "reject" && this.reject.disabled) {
        duomi.say("The picture in use can be rejected: it is made again. This one is not in use.");
        return;
      }
      duomi.marks.toggle(this.row, mark, version);
      this.drawMarks();
      if (!this.compares) this.drawPanel();
    }

    toggleCompare() {
      if (this.details.versions.length < 2) return;
      this.compares = !this.compares;
      this.draw();
    }

    key(event) {
      if (duomi.isTyping(event)) return;
      const actions = {
        ArrowLeft: () => this.go(-1), ArrowRight: () => this.go(1),
        Home: () => this.goTo(0), End: () => this.goTo(this.rows.length - 1),
        p: () => this.mark("pick"), x: () => this.mark("reject"), c: () => this.toggleCompare(),
        z: () => { duomi.nextZone(); this.draw(); },
        "+": () => this.zoom.step(1), "-": () => this.zoom.step(-1), 0: () => this.zoom.to(1),
      };
      const action = actions[event.key];
      const isPanning = this.zoom.factor > 1 && event.target === this.stage && /^(Arrow|Home|End)/.test(event.key);
      if (!action || isPanning) return; // the stage scrolls by itself
      event.preventDefault();
      event.stopPropagation();
      if (this.details) action();
    }
  };

  /** A picture under its zones: its thumbnail at once, itself when it is loaded, the thumbnail again if it cannot be. */
  function picture(file, alt) {
    const image = el("img", { src: duomi.thumbnailAddress(file), alt });
    const full = new Image();
    full.onload = () => { image.src = full.src; image.dataset.full = "yes"; };
    full.onerror = () => { image.title = "The picture itself is not reachable from here: this is its thumbnail."; };
    full.src = duomi.pictureAddress(file);
    return el("span", { class: "picture" }, image, duomi.zoneOverlay());
  }
})();
