// Small helpers. Texts of prompts come into the page here alone, as text nodes and attributes, never as markup.
"use strict";

window.duomi = {};

/** What a served page can do; `null` on disk. It gives the buttons of a prompt's panel and of a place in the grid of versions. */
duomi.actions = null;

/** An element with properties, and children that are elements or plain texts; empty ones are left out. */
duomi.el = (tag, properties = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
};

duomi.byId = (id) => document.getElementById(id);

/** Let the browser paint and take keys before going on; without the 4 ms that timers wait. */
duomi.pause = () => new Promise((resolve) => {
  const channel = new MessageChannel();
  channel.port1.onmessage = () => { channel.port1.close(); resolve(); };
  channel.port2.postMessage(null);
});

duomi.say = (text) => {
  const message = duomi.byId("message");
  message.textContent = text;
  message.classList.add("shown");
  clearTimeout(duomi.sayTimer);
  duomi.sayTimer = setTimeout(() => message.classList.remove("shown"), 2500);
};

/** What stays to be read until it is closed, with something that can be done about it. */
duomi.tell = (text, action = null, act = null) => {
  const notice = duomi.byId("notice");
  const close = () => { notice.hidden = true; };
  notice.replaceChildren(duomi.el("span", { dir: "auto" }, text),
    action && duomi.el("button", { onclick: () => { close(); act(); } }, action) || "",
    duomi.el("button", { onclick: close }, "Close"));
  notice.hidden = false;
};

/** Copy a text, and say so: what was copied is named. */
duomi.copy = async (text, what) => {
  try {
    await navigator.clipboard.writeText(text);
    duomi.say(`${what} copied`);
  } catch {
    duomi.say("This browser does not let this page copy: select the text");
  }
};

/** `1 picture`, `2 pictures`. */
duomi.count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

/** Hand a blob over as a download. */
duomi.download = (blob, name) => {
  const address = URL.createObjectURL(blob);
  duomi.el("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
};

duomi.moment = (seconds) => (seconds ? new Date(seconds * 1000).toISOString().slice(0, 19).replace("T", " ") + " UTC" : "–");

duomi.bytes = (count) => (count < 1e6 ? `${Math.max(1, Math.round(count / 1e3))} kB` : `${(count / 1e6).toFixed(1)} MB`);

/** Words for codes such as `failed_for_good`. */
duomi.words = (code) => code.replaceAll("_", " ");

duomi.isTyping = (event) =>
  event.ctrlKey || event.metaKey || event.altKey ||
  (event.target.matches("input:not([type=range]), select, textarea"));
