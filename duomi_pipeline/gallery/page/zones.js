// What the apps lay over a vertical video: approximate, looked up in November 2026; apps change it without notice.
// All figures are guidance for ads, whose button and long caption cover more than those of an ordinary video.
//
// Shorts: 288, 672, 48 and 192 of 1080x1920 px (top, bottom, left, right), Google's guidance for vertical ads, and
//   Reels: 14 % top, 35 % bottom, 6 % each side, Meta's guidance for Reels ads, both as quoted by
//   shotstack.io/learn/vertical-video-safe-zones; for Reels also houseofmarketers.com/guide-to-safe-zones-tiktok-
//   facebook-instagram-stories-reels and primores.org/wiki/marketing/meta-ad-placement-safe-zones (2026).
// TikTok: gives templates, no figures, as it depends on the length of the caption and on add-ons
//   (ads.tiktok.com/help/article/tiktok-auction-in-feed-ads, July 2025). What others measured: top 130-250 px, bottom
//   320-484 px, right 120-180 px, left 40-120 px. Here: 150, 440 and 150 px of adfuseai.com/blog/tiktok-ad-sizes-specs-guide
//   and 60 px at the left; socaptions.com/blog/tiktok-safe-zones-2026 has 250, 420 and 170 px.
"use strict";

(() => {
  const ZONES = { // percent of height, height, width, width
    TikTok: { top: 7.8, bottom: 22.9, left: 5.6, right: 13.9 },
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
    const free = duomi.el("span", { class: "free" }, `${duomi.zone}: free, approximately`);
    Object.assign(free.style, middle, { left: `${left}%`, right: `${right}%` });
    return duomi.el("span", { class: "zones", role: "img", "aria-label": `Zones that ${duomi.zone} covers, approximate` },
      part("top", { height: `${top}%` }), part("bottom", { height: `${bottom}%` }),
      part("left", { ...middle, width: `${left}%` }), part("right", { ...middle, width: `${right}%` }), free);
  };

  duomi.nextZone = () => {
    duomi.zone = names[(names.indexOf(duomi.zone) + 1) % names.length];
  };
})();
