// Zoom in the large view: the picture grows inside its stage, which scrolls. So wheel, keys, touch and scrollbars move it, and a mouse drags it.
"use strict";

(() => {
  const STEPS = [1, 1.5, 2, 3, 4, 6, 8];

  duomi.Zoom = class {
    constructor(stage, changed) {
      Object.assign(this, { stage, changed, factor: 1 });
      stage.addEventListener("dblclick", (event) => this.to(this.factor > 1 ? 1 : 2, event));
      stage.addEventListener("wheel", (event) => {
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault(); // a pinch on a touchpad is a wheel with Ctrl
        this.to(this.factor * Math.exp(-event.deltaY / 200), event);
      }, { passive: false });
      stage.addEventListener("pointerdown", (event) => this.grab(event));
      stage.addEventListener("pointermove", (event) => this.drag(event));
      for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => this.release());
    }

    /** One step in (1) or out (-1). */
    step(direction) {
      const next = direction > 0 ? STEPS.find((one) => one > this.factor + 0.01) : STEPS.findLast((one) => one < this.factor - 0.01);
      if (next) this.to(next);
    }

    /** Zoom; the point under the pointer, else the middle, stays where it is. */
    to(factor, at = null) {
      const { stage } = this;
      const box = stage.getBoundingClientRect();
      const x = at ? at.clientX - box.left : box.width / 2;
      const y = at ? at.clientY - box.top : box.height / 2;
      this.factor = Math.min(Math.max(factor, 1), STEPS.at(-1));
      this.changed();
      const before = stage.querySelector(".picture")?.getBoundingClientRect();
      const inside = before && { x: (x + box.left - before.left) / before.width, y: (y + box.top - before.top) / before.height };
      stage.style.setProperty("--zoom", this.factor);
      stage.classList.toggle("zoomed", this.factor > 1);
      if (!before) return;
      const after = stage.querySelector(".picture").getBoundingClientRect();
      stage.scrollLeft += after.left + inside.x * after.width - x - box.left;
      stage.scrollTop += after.top + inside.y * after.height - y - box.top;
    }

    grab(event) {
      if (this.factor === 1 || event.pointerType !== "mouse" || event.button !== 0) return;
      event.preventDefault();
      this.stage.setPointerCapture(event.pointerId);
      this.held = { x: event.clientX + this.stage.scrollLeft, y: event.clientY + this.stage.scrollTop };
      this.stage.classList.add("dragged");
    }

    drag(event) {
      if (!this.held) return;
      this.stage.scrollLeft = this.held.x - event.clientX;
      this.stage.scrollTop = this.held.y - event.clientY;
    }

    release() {
      this.held = null;
      this.stage.classList.remove("dragged");
    }
  };
})();
