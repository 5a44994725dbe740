"""How smooth the gallery's grid of versions scrolls in headless Chromium: `python -m duomi_pipeline_tests.bench.versions`.

Prints the frames of a scroll from top to bottom and the long tasks (over 50 ms) meanwhile.
"""

import argparse
import tempfile
from pathlib import Path

from PIL import Image

from duomi_pipeline.gallery.cards import Card, Version
from duomi_pipeline.ledger import Origin, PictureFile
from duomi_pipeline_tests.gallery.browser import Page, start_chromium
from duomi_pipeline_tests.gallery.made_up import write_cards

_SCROLL = """
const done = arguments[0];
const scroller = document.getElementById("scroller");
const times = [];
const tasks = [];
new PerformanceObserver(list => tasks.push(...list.getEntries().map(e => e.duration))).observe({ type: "longtask" });
function frame(now) {
  times.push(now);
  scroller.scrollTop += 120;
  const isAtEnd = scroller.scrollTop + scroller.clientHeight >= scroller.scrollHeight - 2;
  if (isAtEnd && document.querySelectorAll(".prompt-line").length >= duomi.index.total) {
    const frames = times.slice(1).map((one, at) => one - times[at]).sort((a, b) => a - b);
    const share = part => frames[Math.floor((frames.length - 1) * part)];
    setTimeout(() => done({ frames: frames.length, median: share(0.5), p95: share(0.95), slowest: share(1), tasks }), 200);
  } else requestAnimationFrame(frame);
}
requestAnimationFrame(frame);
"""


def main() -> None:
    """Write a gallery of versions, scroll through it, print milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--models", type=int, default=4)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), given.prompts, given.models)
        driver = start_chromium(Path(folder) / "profile")
        try:
            page = Page(driver, Path(folder) / "index.html")
            page.open("#view=versions")
            told = driver.execute_async_script(_SCROLL)
        finally:
            driver.quit()
    print(
        f"{given.prompts} prompts x {given.models} models: {told['frames']} frames, median {told['median']:.0f} ms, "
        f"95 % {told['p95']:.0f} ms, slowest {told['slowest']:.0f} ms, long tasks {[round(one) for one in told['tasks']]} ms"
    )


def _write(folder: Path, prompts: int, models: int) -> None:
    (folder / "thumbnails").mkdir()
    cards = [_card(folder, number, models) for number in range(prompts)]
    write_cards(folder, cards, {"pictures": "pictures/", "currency": "CNY"})


def _card(folder: Path, number: int, models: int) -> Card:
    versions = tuple(_version(folder, number, model) for model in range(models))
    first = versions[0].files[0]
    return Card(
        f"json_{number}", f"Card {number}", "A text " * 60, "current", "json", "", versions[0].model, None,
        first.saved_at, first.file, versions, {}, {}, (), (),
    )  # fmt: skip


def _version(folder: Path, number: int, model: int) -> Version:
    name = f"{number}_{model}"
    noise = Image.effect_noise((128, 228), 90).resize((256, 455))
    noise.save(folder / "thumbnails" / f"{name}.webp", "WEBP", quality=80)
    at = 1_700_000_000.0 + number
    file = PictureFile(f"json_{number}", number, 0, f"{name}.png", 1, "72x128", "72x128", Origin.GENERATED, at)
    return Version((file,), f"maker/model-{model}", "json", "", model, {}, "72x128", 0.1, model == 0, ())


if __name__ == "__main__":
    main()
