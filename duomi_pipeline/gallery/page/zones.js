// What the apps lay over a vertical video: platform guidance, approximate; apps change it without notice.
// Sources, for a frame of 1080x1920: Meta's guidance for Reels (keep 14 % at the top, 35 % at the bottom and 6 % at the
// sides free); TikTok's guidance for in-feed video (about 130 px at the top, 484 px at the bottom, 140 px at the right
// with its buttons, 60 px at the left); Google's guidance for Shorts (288 px, 672 px, 192 px, 48 px).
"use strict";

(() => {
  const ZONES = {
    TikTok: { top: 6.8, bottom: 25.2, left: 5.6, right: 13 },
    Reels: { top: 14, bottom: 35, left: 6, right: 6 },
    Shorts: { top: 15, bottom: 35, left: 4.4, right: 17.8 },
  };
  const names = [null, ...Object.keys(ZONES)];
  duomi.zone = null;
  duomi.zoneNames = Object.keys(ZONES);

  /** The overlay of the chosen app, to lie over a picture; `null` where none is chosen. */
  duomi.zoneOverlay = () => {
    if (!duomi.zone) return null;
    const { top, bottom, left, right } = ZONES[duomi.zone];
    const part = (place, style) => {
      const element = duomi.el("span", { class: `zone ${place}` });
      Object.assign(element.style, style);
      return element;
    };
    const middle = { top: `${top}%`, bottom: `${bottom}%` };
    const free = duomi.el("span", { class: "free" }, `${duomi.zone}: free`);
    Object.assign(free.style, middle, { left: `${left}%`, right: `${right}%` });
    return duomi.el("span", { class: "zones", role: "img", "aria-label": `Zones that ${duomi.zone} covers, approximate` },
      part("top", { height: `${top}%` }), part("bottom", { height: `${bottom}%` }),
      part("left", { ...middle, width: `${left}%` }), part("right", { ...middle, width: `${right}%` }), free);
  };

  duomi.nextZone = () => {
    duomi.zone = names[(names.indexOf(duomi.zone) + 1) % names.length];
  };
})();
