"""The gallery as the place where one decides: addresses, zoom, downloads, copies, versions, access for everyone."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import ActionChains

from duomi_pipeline_tests.gallery.browser import DOWN, ESCAPE, RIGHT, Page
from duomi_pipeline_tests.gallery.conftest import ALL, OTHER_MODEL, write_large

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
VIEWS = {
    "grid": "",
    "viewer": "#open=json_boat",
    "compare": "#open=json_boat&compare=yes",
    "versions": "#view=versions",
    "notice": "#nobody",
}


def fragment(page: Page) -> str:
    return str(page.run("return location.hash"))


def is_open(page: Page) -> bool:
    return bool(page.run("return document.getElementById('viewer').open"))


def test_a_link_shows_the_search_the_filters_and_the_order_that_it_was_taken_of(page: Page) -> None:
    page.find("#query").send_keys("a")
    page.find('.chip[data-state="current"]').click()
    page.find('#sort option[value="name"]').click()
    page.until(lambda: page.text("#count") == "4 of 7")
    shown = page.titles()
    link = fragment(page)

    page.open(link)

    page.until(lambda: page.titles() == shown)
    assert shown == sorted(shown) != []
    assert page.find("#query").get_attribute("value") == "a"
    assert page.find('.chip[data-state="current"]').get_attribute("aria-pressed") == "true"


def test_back_undoes_a_filter_a_search_and_an_open_picture_one_by_one(page: Page) -> None:
    page.find('.chip[data-state="current"]').click()
    page.shows("Silver owl", "Fox", "Tower", "Hostile")
    page.find("#query").send_keys("tow")
    page.shows("Tower")
    page.enlarge("Tower")
    assert "open=json_tower" in fragment(page)

    page.driver.back()
    page.until(lambda: not is_open(page))
    page.shows("Tower")
    page.driver.forward()
    page.until(lambda: is_open(page))
    page.driver.back()
    page.driver.back()
    page.shows("Silver owl", "Fox", "Tower", "Hostile")
    assert page.find("#query").get_attribute("value") == ""
    page.driver.back()
    page.shows(*ALL)


def test_escape_closes_a_picture_as_back_does_and_leaves_nothing_to_go_back_to(page: Page) -> None:
    before = page.run("return history.length")
    page.enlarge("Boat")
    page.keys(RIGHT)
    page.until(lambda: "open=json_fox" in fragment(page))
    page.keys(ESCAPE)
    page.until(lambda: fragment(page) == "" and not is_open(page))

    page.enlarge("Boat")

    assert page.run("return history.length") == before + 1


def test_a_link_to_a_version_and_to_the_comparison_opens_them(page: Page) -> None:
    page.enlarge("Boat")
    page.find(".strip button:last-child").click()
    page.until(lambda: "file=boat" in fragment(page))
    link = fragment(page)

    page.open(link)

    page.until(lambda: page.run("return document.querySelector('.strip button:last-child')?.ariaPressed === 'true'"))
    page.open("#open=json_boat&compare=yes")
    page.until(lambda: page.run("return document.querySelectorAll('.side-by-side figure').length") == 2)


@pytest.mark.parametrize("link", ["#json_nobody", "#open=json_nobody&state=current", "#%E0%A4%A"])
def test_a_link_to_a_prompt_that_is_not_here_says_so(page: Page, link: str) -> None:
    page.open(link)

    page.until(lambda: page.text("#notice").startswith("The link names what is not in this gallery: prompt "))
    assert not is_open(page)


def test_a_link_with_a_filter_or_a_file_that_is_not_here_says_so(page: Page) -> None:
    page.open("#model=no%2Fmodel")
    page.until(lambda: "model no/model" in page.text("#notice"))

    page.open("#open=json_boat&file=gone.png")
    page.until(lambda: "The picture gone.png is not among the versions" in page.text("#notice"))


def test_a_picture_is_zoomed_by_key_button_and_double_click_and_moved_by_the_mouse(page: Page) -> None:
    def width() -> float:
        return float(page.run("return document.querySelector('.picture').getBoundingClientRect().width"))

    page.enlarge("Boat")
    whole = width()
    page.keys("+", "+")
    assert width() == pytest.approx(2 * whole, rel=0.05)
    assert page.text(".zoomed-to") == "200 %"
    page.find('[aria-label="Larger"]').click()
    assert width() == pytest.approx(3 * whole, rel=0.05)

    before = page.run("return document.querySelector('.stage').scrollTop")
    ActionChains(page.driver).click_and_hold(page.find(".stage")).move_by_offset(0, -60).release().perform()
    assert page.run("return document.querySelector('.stage').scrollTop") == before + 60

    page.keys("0")
    assert width() == pytest.approx(whole, rel=0.05)
    ActionChains(page.driver).double_click(page.find(".stage .picture")).perform()
    assert page.text(".zoomed-to") == "200 %"


def test_the_original_is_a_link_and_a_download(served: Page, index: Path, tmp_path: Path) -> None:
    page = served
    page.downloads(tmp_path)
    page.enlarge("Fox")
    links = {link.text: link.get_attribute("href") for link in page.driver.find_elements("css selector", ".links a")}
    name = page.run("return document.querySelector('.links a[download]').download")

    page.find(".links a[download]").click()

    page.until((tmp_path / name).exists)
    assert (tmp_path / name).read_bytes() == (index.parents[1] / "generated_images" / name).read_bytes()
    assert links == dict.fromkeys(("Open original", "Download"), links["Download"])


def pick(page: Page, *titles: str) -> list[str]:
    """Pick some cards; the names of their files."""
    for title in titles:
        page.run("arguments[0].focus()", page.card(title))
        page.keys("p")
    return sorted(page.run("return Object.values(JSON.parse(duomi.marks.exported()).pictures)"))


def holds(archive: Path, pictures: Path, names: list[str]) -> None:
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        assert sorted(opened.namelist()) == names
        assert all(opened.read(name) == (pictures / name).read_bytes() for name in names)


def test_picks_are_downloaded_as_one_archive(served: Page, index: Path, tmp_path: Path) -> None:
    served.downloads(tmp_path)
    names = pick(served, "Boat", "Fox", "Hostile")

    served.find("#archive").click()

    served.until((tmp_path / "duomi-picks.zip").exists)
    holds(tmp_path / "duomi-picks.zip", index.parents[1] / "generated_images", names)
    assert len(names) == 3


def test_from_disk_the_archive_is_made_of_the_folder_that_a_person_gives(
    page: Page, index: Path, tmp_path: Path
) -> None:
    pictures = index.parents[1] / "generated_images"
    page.downloads(tmp_path)
    names = pick(page, "Boat", "Tower")
    page.find("#archive").click()
    assert "Choose the folder of the pictures" in page.find("#give-folder").text

    page.run("document.getElementById('folder').hidden = false")
    page.find("#folder").send_keys(str(pictures))

    page.until((tmp_path / "duomi-picks.zip").exists)
    holds(tmp_path / "duomi-picks.zip", pictures, names)
    assert len(names) == 2


def test_an_archive_without_one_of_its_pictures_is_not_made(page: Page, tmp_path: Path) -> None:
    page.downloads(tmp_path)
    (name,) = pick(page, "Tower")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "other.png").write_bytes(b"another")
    page.find("#archive").click()

    page.run("document.getElementById('folder').hidden = false")
    page.find("#folder").send_keys(str(tmp_path / "pictures"))

    page.until(lambda: page.text("#message") == f"No archive: {name} is not in that folder")
    assert not (tmp_path / "duomi-picks.zip").exists()


def test_prompt_settings_and_seed_are_copied(served: Page) -> None:
    page = served
    page.driver.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    )
    page.enlarge("Fox")

    def copied(name: str) -> str:
        page.driver.find_element("xpath", f'//button[.="{name}"]').click()
        page.until(lambda: page.text("#message").endswith("copied"))
        return str(page.driver.execute_async_script("navigator.clipboard.readText().then(arguments[0])"))

    assert copied("Copy prompt") == "A fox in the snow"
    settings = json.loads(copied("Copy settings"))
    assert settings["num_inference_steps"] == "20"
    assert copied("Copy seed") == settings["seed"]


def test_the_search_finds_seeds_and_ids_as_its_label_says(page: Page) -> None:
    seed = page.run("return duomi.card(duomi.rowOf('json_boat')).seeds[0]")
    assert page.find("#query").accessible_name == "Search in prompts, names, ids and seeds"

    page.find("#query").send_keys(f"boat {seed}")
    page.shows("Boat")
    page.find("#query").clear()
    page.find("#query").send_keys("json_tower")
    page.shows("Tower")


def test_a_mark_that_a_new_picture_made_void_says_so(driver: Any, tmp_path: Path) -> None:
    page = Page(driver, write_large(tmp_path, 3))
    page.open()
    page.run("arguments[0].focus()", page.card("Card 0"))
    page.keys("x")
    write_large(tmp_path, 3, made_at=1_700_000_100.0)

    page.open()

    assert page.text("#notice").startswith(
        "1 mark of yours was of a picture that another one replaced since: void now."
    )
    assert "You rejected an earlier picture; this one is unmarked." in page.card("Card 0").accessible_name
    page.driver.find_element("xpath", '//*[@id="notice"]/button[.="Show"]').click()
    page.shows("Card 0")
    page.enlarge("Card 0")
    page.find(".panel .replaced button").click()
    page.keys(ESCAPE)
    page.shows()


def cells(page: Page, title: str) -> list[str]:
    """The names of a prompt's pictures in the grid of versions, per model; empty where there is none."""
    return list(
        page.run(
            "return [...[...document.querySelectorAll('.prompt-line')].find(line => line.querySelector('b').textContent"
            " === arguments[0]).querySelectorAll('[role=cell]')].map(c => c.querySelector('.plain')?.ariaLabel ?? '')",
            title,
        )
    )


def test_the_grid_of_versions_has_models_across_and_prompts_down(page: Page) -> None:
    page.keys("v")
    page.until(lambda: page.run("return document.querySelectorAll('.prompt-line').length") == 5)  # those with pictures

    heads = page.run("return [...document.querySelectorAll('[role=columnheader]')].map(e => e.title || e.textContent)")
    assert heads == ["Prompt", "stabilityai/stable-diffusion-xl-base-1.0", OTHER_MODEL]
    boat, fox = cells(page, "Boat"), cells(page, "Fox")
    assert boat[0].startswith("Boat, stable-diffusion-xl-base-1.0, ")
    assert boat[1].startswith("Boat, FLUX.1-dev, in use, ")
    assert fox[0].startswith("Fox, stable-diffusion-xl-base-1.0, in use, ")
    assert fox[1] == ""
    assert fragment(page) == "#view=versions"

    page.find("#query").send_keys("boat")
    page.until(lambda: page.run("return document.querySelectorAll('.prompt-line').length") == 1)
    page.find(".cell .plain").click()
    page.until(lambda: "stable-diffusion" in page.text(".panel .table"))
    page.driver.back()
    page.until(lambda: not is_open(page))
    assert page.run("return document.querySelectorAll('.prompt-line').length") == 1


def test_versions_are_kept_and_rejected_from_their_grid_and_the_exported_file_names_them(page: Page) -> None:
    page.open("#view=versions")
    page.until(lambda: page.run("return document.querySelectorAll('.prompt-line').length") == 5)
    page.find('[aria-label="Keep: Boat, stable-diffusion-xl-base-1.0"]').click()
    page.find('[aria-label="Reject: Fox, stable-diffusion-xl-base-1.0"]').click()
    older = page.run("return duomi.marks.kept(duomi.rowOf('json_boat'))")

    marks = json.loads(page.run("return duomi.marks.exported()"))

    assert (marks["picks"], marks["rejects"]) == (["json_boat"], ["json_fox"])
    assert marks["pictures"]["json_boat"] == older != page.run("return duomi.card(duomi.rowOf('json_boat')).picture")
    assert cells(page, "Boat")[0].startswith("Boat, stable-diffusion-xl-base-1.0, picked")
    assert "picked" not in cells(page, "Boat")[1]
    assert not page.driver.find_elements("css selector", '[aria-label="Reject: Boat, stable-diffusion-xl-base-1.0"]')
    page.find("#export").click()
    assert "duomi generate --reroll duomi-marks.json" in page.find("#exported").text
    assert "Kept versions that are not in use are named in the file" in page.find("#exported").text

    page.open("#view=versions")  # and it stays
    page.until(lambda: cells(page, "Boat")[0].startswith("Boat, stable-diffusion-xl-base-1.0, picked"))


def test_arrows_and_letters_decide_in_the_grid_of_versions(page: Page) -> None:
    page.open("#view=versions&sort=name")
    page.until(lambda: page.run("return document.querySelectorAll('.prompt-line').length") == 5)
    page.run("document.querySelector('.cell .plain').focus()")  # boat, of the first model

    page.keys(RIGHT, "x", DOWN)
    page.until(lambda: page.run("return document.activeElement.ariaLabel").startswith("Boat"))  # nothing is below
    page.run("document.querySelector('.cell .plain').focus()")
    page.keys(DOWN, "p")

    assert json.loads(page.run("return duomi.marks.exported()"))["rejects"] == ["json_boat"]
    assert json.loads(page.run("return duomi.marks.exported()"))["picks"] == ["json_fox"]


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: npm install in duomi_pipeline_tests/gallery")
@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_against_wcag_2_2_aa(page: Page, view: str, theme: str) -> None:
    page.run("localStorage.setItem('duomi-gallery-theme', arguments[0])", theme)
    page.open(VIEWS[view])
    waited = {"viewer": ".picture img[data-full]", "compare": ".side-by-side img[data-full]", "versions": ".cell img"}
    page.until(lambda: page.driver.find_elements("css selector", waited.get(view, "#grid .card img")))
    page.run(AXE.read_text(encoding="utf-8"))

    result = page.driver.execute_async_script("""
        const done = arguments[0];
        axe.run({ preload: false, runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] })
          .then(r => done({ passes: r.passes.length, violations: r.violations.map(v =>
            [v.id, v.nodes.map(n => n.html)]) }))""")

    assert result["violations"] == []
    assert result["passes"] > 20


@pytest.mark.parametrize("view", VIEWS)
def test_on_a_phone_whatever_is_pressed_is_44_pixels_and_nothing_is_cut_off(page: Page, view: str) -> None:
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    page.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        page.open(VIEWS[view])
        page.until(
            lambda: view not in ("viewer", "compare") or page.run("return !!document.querySelector('.stage img')")
        )
        if view == "grid":
            page.find("#show-filters").click()
        boxes = page.run("""
            const top = document.querySelector('dialog[open]') || document.body;
            return [...top.querySelectorAll('button, a, input, select, summary')].filter(e => e.checkVisibility())
              .map(e => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()])
              .map(([html, box]) => [html, box.width, box.height])""")
        wide = page.run("return document.querySelector('.tools, .bar').scrollWidth <= innerWidth")
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        page.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})

    assert [box for box in boxes if min(box[1:]) < 43.9] == []
    assert len(boxes) >= 5
    assert wide
