// What goes on: the page follows what is written, and shows the action at work, how it ended, and what can be done at once.
"use strict";

(() => {
  const { el, byId } = duomi;
  const EVERY = 1000; // milliseconds
  const acted = new Set(); // ids whose marks are done with, once their new picture is seen
  let version = Number(document.documentElement.dataset.version);
  let number = null; // of the action that is shown
  let isClosed = true;

  const words = el("p", { role: "status", dir: "auto" });
  const bar = el("progress", { "aria-label": "Progress" });
  const failures = el("ul", { class: "failures" });
  const close = el("button", { onclick: () => { isClosed = true; section.hidden = true; byId("scroller").focus(); } }, "Close");
  const section = el("section", { id: "work", "aria-label": "Work", hidden: true }, words, bar, failures, close);
  const bulk = el("div", { id: "bulk", role: "group", "aria-label": "For all of a kind", hidden: true });
  byId("notice").before(section);
  byId("filters").append(bulk);

  function draw({ progress, runs, problem }) {
    if (number === null) number = progress?.is_over ? progress.number : 0; // what ended before this page was opened
    if (progress && progress.number !== number) {
      number = progress.number;
      isClosed = false;
      for (const id of progress.ids) acted.add(id);
    }
    const isOwn = progress && !isClosed;
    section.hidden = !isOwn && !runs && !problem;
    const { name, done, total, failed, message, is_over: isOver } = isOwn ? progress : { isOver: false };
    const counts = total ? `: ${done} of ${total}${failed ? `, ${failed} failed` : ""}` : " …";
    const text = problem || (isOver ? `${name}. ${message}` : isOwn ? name + counts : "A run is at work: what it makes appears here.");
    if (words.textContent !== text) words.textContent = text;
    bar.hidden = !isOwn || isOver || !total;
    if (total) Object.assign(bar, { max: total, value: done });
    failures.replaceChildren(...(isOwn ? progress.failures : []).map((one) => el("li", { dir: "auto" }, one)));
    close.hidden = !isOver;
  }

  /** Marks of pictures that an action of this page replaced are done with. */
  function settleMarks() {
    for (const id of acted) {
      const row = duomi.rowOf(id);
      if (row >= 0 && duomi.marks.ofReplaced(row)) duomi.marks.forget(row);
    }
  }

  const named = (ids, pictureOf) => Object.fromEntries(ids.map((id) => [id, pictureOf(id)]));
  const exported = () => JSON.parse(duomi.marks.exported());
  const ALL = [ // what is done, to which, and these with their pictures, as they are when it is asked for
    ["again", "Reroll", "rejected", () => named(exported().rejects, (id) => exported().pictures[id] ?? null)],
    ["keep", "Keep", "picked earlier", () =>
      named(duomi.marks.rows("pick").filter((row) => duomi.marks.kept(row)).map((row) => duomi.columns.id[row]), (id) => exported().pictures[id])],
    ["retry", "Retry", "failed", () => named(duomi.columns.id.filter((_, row) => duomi.state(row).startsWith("failed")), () => null)],
  ];
  const buttons = ALL.map(([kind, , , pictures]) => el("button", { onclick: () => duomi.ask(kind, pictures()) }));
  bulk.append(...buttons);

  /** Buttons for all that are marked, or have failed: the same ones all the time, so that a press or a focus is never lost. */
  function drawBulk() {
    for (const [at, [, verb, which, pictures]] of ALL.entries()) {
      const count = Object.keys(pictures()).length;
      if (count === 0 && buttons[at] === document.activeElement) byId("scroller").focus();
      buttons[at].hidden = count === 0;
      buttons[at].textContent = `${verb} ${count.toLocaleString("en")} ${which} …`;
    }
    bulk.hidden = buttons.every((one) => one.hidden);
  }

  /** Look what goes on, now. */
  duomi.look = async () => {
    let seen;
    try {
      seen = await (await fetch("status")).json();
    } catch {
      seen = { problem: "The server does not answer. If it has ended: duomi gallery --serve, and open the address that it prints." };
    }
    draw(seen);
    if (seen.version === undefined || seen.version === version) return;
    await duomi.renew();
    version = seen.version;
    settleMarks();
    drawBulk();
  };

  async function follow() {
    try { await duomi.look(); } catch { /* the index is being written: the next look finds it */ }
    setTimeout(follow, EVERY);
  }

  duomi.pictureAddress = (file) => `pictures/${encodeURIComponent(file)}`;
  duomi.whenShown = () => {
    duomi.marks.onChange(drawBulk);
    drawBulk();
    follow();
  };
})();
