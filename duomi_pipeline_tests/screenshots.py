"""Makes the pictures of README and docs anew: the sample prompts in a new home, Dagster's UI and the gallery in Chromium.

    python -m duomi_pipeline_tests.screenshots
    python -m duomi_pipeline_tests.screenshots --into build/images --only gallery

Needs chromium and chromedriver. The pictures are drawn by the sandbox; nothing of the user's own home is read but the
sample prompts of the repository.
"""

import argparse
import io
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps
from selenium.webdriver.support.wait import WebDriverWait

from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.cli.harness import command, duomi, pictures
from duomi_pipeline_tests.gallery.browser import Page, start_chromium
from duomi_pipeline_tests.gallery_server.harness import served
from duomi_pipeline_tests.orchestration.ui import duomi_dev

_REPOSITORY = Path(__file__).parents[1]
_MODELS = (  # the last one is in use
    "black-forest-labs/FLUX.1-dev",
    "stabilityai/stable-diffusion-2-1",
    "stabilityai/stable-diffusion-xl-base-1.0",
)
_SHEET = ("db_8", "db_10", "db_14", "db_5", "db_9", "db_13", "Snow_fox_birches", "Orbital_garden")  # 8 x 2
_ALL_THERE = "return [...document.images].every(i => i.complete || i.getBoundingClientRect().top > innerHeight)"
_RENAME = """
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) walk.currentNode.data = walk.currentNode.data.replaceAll(arguments[0], arguments[1]);
"""
_PATIENCE = 60.0  # seconds until a page shows what it should


def main() -> None:
    """Make them all, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, default=_REPOSITORY / "docs" / "images", metavar="FOLDER")
    parser.add_argument("--only", choices=list(_SCENES), action="append", help="default: all")
    given = parser.parse_args()
    given.into.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="duomi-screenshots-") as folder,
        SandboxServer(faults=Faults(refuse=("spice",), latency=0.5)) as sandbox,
    ):
        home = Path(folder) / "duomi-pipeline"
        make_home(home, sandbox.url)
        driver = start_chromium(Path(folder) / "chromium")
        try:
            for name in given.only or _SCENES:
                for file, picture in _SCENES[name](home, driver):
                    save(picture, given.into / file)
                    print(given.into / file, flush=True)
        finally:
            driver.quit()


def make_home(home: Path, url: str) -> None:
    """A home with prompts in every state, two versions of most of them."""
    samples = subprocess.run(
        ["git", "-C", str(_REPOSITORY), "ls-files", "-z", "data", "out/prompt_json"], capture_output=True, check=True
    )
    for name in filter(None, samples.stdout.decode().split("\0")):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_REPOSITORY / name, home / name)
    (home / "duomi.toml").write_text(f'base_url = "{url}"\nprice_per_image = 0.1\n')
    prompts = home / "out" / "prompt_json"
    for model in _MODELS:
        run(home, "generate", "--outdated", "--yes", DUOMI_MODEL=model)
    run(home, "generate", "--prompt-id", "db_2", "--force", "--seed", "42", "--yes")
    write(
        prompts / "Spice_market_20260119_120000.json", "A crowded spice market at noon, sacks of turmeric and saffron"
    )
    run(home, "generate", "--yes", status=1)
    write(prompts / "Lantern_lake_20260119_203000.json", "Paper lanterns drift over a black lake, warm light")
    edited = prompts / "Night_market_noodles_20260107_203045.json"
    write(edited, json.loads(edited.read_text(encoding="utf-8"))["image_prompt"] + " Steam rises.")
    run(home, "plan")


def write(file: Path, text: str) -> None:
    """A JSON prompt file that nobody has just begun to write."""
    file.write_text(json.dumps({"image_prompt": text}), encoding="utf-8")


def run(home: Path, *arguments: str, status: int = 0, **environment: str) -> None:
    """Run a command that should end so."""
    ended = duomi(home, *arguments, **environment)
    if ended.returncode != status:
        raise SystemExit(f"duomi {' '.join(arguments)} ended with {ended.returncode}:\n{ended.stderr}")


def materialize(home: Path, *assets: str) -> None:
    """As a click on Materialize does."""
    _, env = command(home)
    dagster = str(Path(sys.executable).with_name("dagster"))
    line = [dagster, "asset", "materialize", "-m", "duomi_pipeline.definitions", "--select", ",".join(assets)]
    env = {**env, "DAGSTER_HOME": str(home / ".dagster_home")}
    subprocess.run(line, env=env, cwd=home, capture_output=True, check=True)


def save(picture: Image.Image, path: Path) -> None:
    """Small enough for a repository: 256 colours, or a JPEG."""
    if path.suffix == ".png":
        picture.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE).save(path, optimize=True)
    else:
        picture.save(path, quality=88, optimize=True)


# --- scenes: each gives file names and pictures ----------------------------------------------------------

Scene = Callable[[Path, Any], Iterator[tuple[str, Image.Image]]]


def sheet(home: Path, _driver: Any) -> Iterator[tuple[str, Image.Image]]:
    """Some of the sample pictures, eight in two rows."""
    folder = home / "out" / "generated_images"
    files = [next(name for name in reversed(pictures(home)) if name.startswith(f"{prompt}_")) for prompt in _SHEET]
    columns, width, height, gap = 4, 360, 640, 24
    whole = Image.new("RGB", (columns * (width + gap) - gap, 2 * (height + gap) - gap), "white")
    for number, file in enumerate(files):
        with Image.open(folder / file) as picture:
            small = ImageOps.fit(picture.convert("RGB"), (width, height), Image.Resampling.LANCZOS)
        row, column = divmod(number, columns)
        whole.paste(small, (column * (width + gap), row * (height + gap)))
    yield "pictures.jpg", whole


def gallery(home: Path, driver: Any) -> Iterator[tuple[str, Image.Image]]:
    """The gallery as it opens from disk."""
    run(home, "gallery")
    page = Page(driver, home / "out" / "gallery" / "index.html")
    page.open("#sort=source")
    page.until(lambda: len(page.titles()) > 12)
    for title, key in (("Aurora stag", "p"), ("Harbour couple", "x")):
        page.enlarge(title)
        page.keys(key)
        page.keys("\ue00c")
    yield "gallery.png", seen(page)
    page.open("#open=db_10")
    page.keys("z", "z")
    yield "gallery_large.png", seen(page)
    page.open("#open=db_2&compare=yes")
    yield "gallery_compare.png", seen(page)
    page.open("#view=versions")
    yield "gallery_versions.png", seen(page)


def live(home: Path, driver: Any) -> Iterator[tuple[str, Image.Image]]:
    """The gallery as it is served, asking before it spends."""
    with served(home) as gallery:
        page = Page(driver, Path(), gallery.address)
        page.open("#open=db_14")
        press(page, "Another seed …")
        page.until(lambda: page.run("return document.querySelector('#confirm[open]') !== null"))
        yield "gallery_served.png", seen(page)


def dagster(home: Path, driver: Any) -> Iterator[tuple[str, Image.Image]]:
    """Dagster's UI: the graph, and one partition."""
    with duomi_dev(home) as dev:
        url = dev.url
        materialize(home, "prompt_table", "prompt_files", "results_manifest", "gallery")
        look(driver, f"{url}/asset-groups", (2000, 740), "Materialized")
        yield "graph.png", shot(driver, home)
        look(driver, f"{url}/assets/generated_images?view=partitions&partition=db_4", (1330, 1230), "seed")
        yield "partition.png", shot(driver, home)
        look(driver, f"{url}/runs", (1750, 700), "generate_missing_images")
        yield "runs.png", shot(driver, home)


_SCENES: dict[str, Scene] = {"sheet": sheet, "gallery": gallery, "live": live, "dagster": dagster}


# --- Chromium --------------------------------------------------------------------------------------------


def press(page: Page, text: str) -> None:
    """Press the shown button of that name."""
    path = f'//button[normalize-space()="{text}" or @aria-label="{text}"]'

    def shown() -> Sequence[Any]:
        return [one for one in page.driver.find_elements("xpath", path) if one.is_displayed()]

    page.until(shown)
    shown()[0].click()


def seen(page: Page) -> Image.Image:
    """The page once all its pictures are there."""
    size(page.driver, 1180, 757)
    page.until(lambda: page.run(_ALL_THERE))
    return shot(page.driver)


def look(driver: Any, address: str, window: tuple[int, int], word: str) -> None:
    """Open a page of Dagster's UI, smaller than life, and wait until it says this and has nothing more to load."""
    size(driver, *window, scale=0.75)
    driver.get(address)
    wait(driver, lambda: word in driver.find_element("tag name", "body").text)
    wait(driver, lambda: not driver.find_elements("css selector", '[class*="spinner"], [class*="Spinner"]'))


def size(driver: Any, width: int, height: int, scale: float = 1) -> None:
    """The size of the page in CSS pixels, whatever the window's frame takes."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def wait(driver: Any, condition: Callable[[], object]) -> None:
    """Wait until it holds."""
    WebDriverWait(driver, _PATIENCE, 0.2).until(lambda _: condition())


def shot(driver: Any, home: Path | None = None) -> Image.Image:
    """What is seen now; the folder of a home is called as a user's may be."""
    if home is not None:
        driver.execute_script(_RENAME, str(home.parent), "/home/me")
    return Image.open(io.BytesIO(driver.get_screenshot_as_png()))


if __name__ == "__main__":
    main()
