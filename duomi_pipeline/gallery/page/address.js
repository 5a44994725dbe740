// The address of what is seen. Search, filters, order, view and the open picture stand behind its #, which a page from
// disk may change too: a link shows what was seen, and Back goes back.
"use strict";

(() => {
  duomi.address = {
    /** What stands behind the #; an id alone, as older links have it, is an open picture. */
    read() {
      const text = location.hash.slice(1);
      if (!text || text.includes("=")) return new URLSearchParams(text);
      let id = text;
      try { id = decodeURIComponent(text); } catch { /* not escaped: the id itself */ }
      return new URLSearchParams({ open: id });
    },

    /** Write it; with `push` Back returns to what was seen before, and `state` is kept with it. */
    write(parts, { push = false, state = history.state } = {}) {
      const text = String(parts);
      if (text === String(this.read())) return;
      const address = text ? `#${text}` : location.pathname + location.search;
      try { history[push ? "pushState" : "replaceState"](state, "", address); } catch { /* browsers limit how often */ }
    },
  };
})();
