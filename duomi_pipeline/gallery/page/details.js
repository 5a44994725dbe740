// The texts of the large view: prompt, settings, cost and history of a prompt; differences between its versions.
"use strict";

(() => {
  const { el } = duomi;

  const money = (price) => (price === null || price === undefined ? "unknown" : `${price.toFixed(2)} ${duomi.index.currency}`);

  /** A version's settings by name, as they are shown and compared. */
  function settingsOf(version) {
    const { model, image_size: asked, size, seed, ...others } = version.settings;
    return {
      model: version.model,
      service: version.host,
      seed: version.seed === null || version.seed === undefined ? seed : String(version.seed),
      size: version.size,
      "asked size": asked ?? size,
      "received size": version.received,
      ...others,
    };
  }

  function table(values, marked = new Set()) {
    const rows = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== "");
    return el("dl", { class: "table" }, rows.map(([name, value]) => [
      el("dt", {}, duomi.words(name)),
      el("dd", { dir: "auto", class: marked.has(name) ? "differs" : "" }, value),
    ]).flat());
  }

  function history(steps) {
    const sorted = [...steps].sort((a, b) => b[0] - a[0]);
    return el("ol", { class: "history" }, sorted.map(([at, what, price]) =>
      el("li", {}, el("time", {}, duomi.moment(at)), el("span", { dir: "auto" }, price === null ? what : `${what} (${money(price)})`))));
  }

  const section = (title, ...children) => el("section", {}, el("h3", {}, title), ...children);

  const copyButton = (text, what, name = "Copy") => el("button", { class: "small", onclick: () => duomi.copy(text, what) }, name);

  /** Open the file itself, or save it. From disk browsers take a download for a link, and it is on this computer already. */
  const fileLinks = (file) => el("p", { class: "links" },
    el("a", { class: "button", href: duomi.pictureAddress(file), target: "_blank", rel: "noopener" }, "Open original"),
    location.protocol !== "file:" && el("a", { class: "button", href: duomi.pictureAddress(file), download: file }, "Download"));

  /** A version's model and settings as JSON, as they were sent. */
  const settingsText = (version) => JSON.stringify({ ...version.settings, model: version.model }, null, 1);

  /** The panel beside the picture. */
  duomi.panel = (row, card, details, shown, choose) => {
    const { id, title } = duomi.columns;
    const version = details.versions[shown];
    const state = duomi.state(row);
    const text = version?.prompt ?? card.text;
    const steps = [...details.failures, ...details.versions.flatMap((one) => one.steps)];
    return [
      el("h2", { dir: "auto" }, title[row]),
      el("p", { class: "facts" },
        el("span", { class: "pill", "data-state": state }, duomi.words(state)),
        el("code", {}, id[row]), el("span", { dir: "auto" }, details.origin)),
      card.reason && el("p", { class: "why", dir: "auto" }, card.reason),
      duomi.marks.ofReplaced(row) && el("p", { class: "replaced" }, duomi.replaced(row),
        el("button", { class: "small", onclick: () => { duomi.marks.forget(row); choose(shown); } }, "Forget it")),
      duomi.actions && el("p", { class: "links actions" }, duomi.actions.ofPrompt(row, details, shown)),
      details.versions.length > 1 && section(`${details.versions.length} versions`, el("div", { class: "strip" },
        details.versions.map((one, number) => el("button", {
          "aria-label": `Version ${details.versions.length - number}: ${one.model}, ${duomi.moment(one.at)}${one.current ? ", in use" : ""}`,
          "aria-pressed": String(number === shown),
          onclick: () => choose(number),
        }, el("img", { src: duomi.thumbnailAddress(one.files[0][0]), alt: "" }))))),
      version?.prompt && section("Prompt now", el("p", { class: "prompt", dir: "auto" }, card.text)),
      section(version?.prompt ? "Prompt of this picture" : "Prompt", el("p", { class: "prompt", dir: "auto" }, text), copyButton(text, "Prompt", "Copy prompt")),
      details.flags.length > 0 && section("Flags", el("ul", { class: "flagged" }, details.flags.map(([kind, sentence]) =>
        el("li", {}, el("b", {}, duomi.words(kind)), el("span", { dir: "auto" }, sentence))))),
      version && section("Settings", table(settingsOf(version)), el("p", { class: "links" },
        copyButton(settingsText(version), "Settings", "Copy settings"),
        settingsOf(version).seed && copyButton(settingsOf(version).seed, "Seed", "Copy seed"))),
      !version && Object.keys(details.wanted).length > 0 && section("Would be asked with", table(details.wanted)),
      Object.keys(details.overrides).length > 0 && section("This prompt's own", table(details.overrides)),
      version && section("File", table({
        name: version.files.map(([file]) => file).join("\n"),
        bytes: duomi.bytes(version.files.reduce((sum, [, bytes]) => sum + bytes, 0)),
        saved: duomi.moment(version.at),
        cost: money(version.cost),
      }), version.files.map(([file]) => fileLinks(file))),
      steps.length > 0 && section("History", history(steps)),
    ].filter(Boolean);
  };

  /** All versions side by side; what differs between them is marked, what does not is said once. */
  duomi.comparison = (details, picture, choose) => {
    const all = details.versions.map((one) => ({ ...settingsOf(one), prompt: one.prompt ?? undefined }));
    const names = [...new Set(all.flatMap(Object.keys))];
    const differing = new Set(names.filter((name) => new Set(all.map((one) => one[name])).size > 1));
    const same = Object.fromEntries(names.filter((name) => !differing.has(name)).map((name) => [name, all[0][name]]));
    const figures = details.versions.map((one, number) => el("figure", {},
      el("button", { class: "plain", "aria-label": `Show version ${details.versions.length - number} alone`, onclick: () => choose(number) },
        picture(one.files[0][0], `Version ${details.versions.length - number}, ${one.model}`)),
      el("figcaption", {},
        el("strong", {}, `Version ${details.versions.length - number}${one.current ? ", in use" : ""}`),
        table({ ...Object.fromEntries([...differing].map((name) => [name, all[number][name]])), saved: duomi.moment(one.at), cost: money(one.cost) }, differing))));
    return [
      el("div", { class: "side-by-side" }, figures),
      el("details", { class: "same" }, el("summary", {}, "The same in all"), table(same)),
    ];
  };
})();
