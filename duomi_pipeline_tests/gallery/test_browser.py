"""The gallery in headless Chromium; skipped where there is none."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from duomi_pipeline_tests.gallery.browser import Page
from duomi_pipeline_tests.gallery.conftest import ALL, HOSTILE, OTHER_MODEL, write_large


def test_typing_narrows_to_prompts_and_names_and_ignores_case_and_accents(page: Page) -> None:
    page.shows(*ALL)
    page.keys("/")
    page.keys("cafe SILVER")
    page.shows("Boat")
    assert page.text("#count") == "1 of 7"

    page.keys("\ue00c")  # escape empties it
    page.shows(*ALL)
    page.keys("tow")
    page.shows("Tower")
    page.find("#reset").click()
    page.shows(*ALL)


def test_a_row_is_found_by_name_id_and_number_and_a_number_is_found_whole(page: Page) -> None:
    for words in ("silver owl", "db_2", "2"):  # every file name of a picture holds a 2
        page.find("#query").send_keys(words)
        page.shows("Silver owl")
        page.find("#reset").click()
        page.shows(*ALL)
    assert page.text('[data-at="0"] .sub') == "db_2 · stable-diffusion-xl-base-1.0"


def test_flagged_cards_are_found_by_kind_and_say_why(page: Page) -> None:
    page.find('#flag option[value="is twin"]').click()
    page.shows("Silver owl", "Boat", "Fox", "Tower", "Hostile")
    assert page.text('#flag option[value="is twin"]') == "twin (5)"
    assert ", flagged: twin" in page.card("Fox").accessible_name
    assert page.text(".card .flags") == "⚑ 1"
    page.enlarge("Fox")
    assert page.text(".flagged li").startswith("twinIt looks the same as the picture of db_2")
    page.keys("\ue00c")

    page.find('#flag option[value="none"]').click()
    page.shows("Refused", "Waiting")


def test_filters_by_state_model_and_date_join(page: Page) -> None:
    page.find('.chip[data-state="missing"]').click()
    page.shows("Waiting")
    page.find('.chip[data-state="failed_for_good"]').click()
    page.shows("Waiting", "Refused")
    page.find("#reset").click()

    page.find(f'#model option[value="{OTHER_MODEL}"]').click()
    page.shows("Boat")
    page.find("#reset").click()

    page.run("const f = document.getElementById('until'); f.value = '2001-01-01'; f.dispatchEvent(new Event('change'))")
    page.shows()
    assert "Reset shows all" in page.text("#empty")


def test_sorting_by_name_puts_cards_in_that_reading_order(page: Page) -> None:
    page.find('#sort option[value="name"]').click()

    page.until(lambda: page.titles() == sorted(ALL))


def test_failed_and_missing_prompts_are_cards_with_their_reason(page: Page) -> None:
    notes = {state: page.text(f'.card[data-state="{state}"] .reason') for state in ("failed_for_good", "missing")}

    assert notes["failed_for_good"].startswith("refused: The prompt was rejected")
    assert "No picture yet" in notes["missing"]


def test_the_large_view_turns_with_arrows_and_closes_with_escape(page: Page) -> None:
    page.enlarge("Boat")
    page.until(lambda: page.run("return document.querySelector('.picture img').dataset.full === 'yes'"))
    assert page.run("return document.querySelector('.picture img').naturalWidth") == 72
    assert "num inference steps" in page.text(".panel")
    assert "asked, billed (0.10 CNY)" in page.text(".panel .history")

    page.keys("\ue014")  # arrow right
    page.until(lambda: page.text(".panel h2") == "Fox")
    page.keys("\ue00c")  # escape
    page.until(lambda: not page.run("return document.getElementById('viewer').open"))
    page.until(lambda: page.run("return document.activeElement.dataset.at") == "2")


def test_versions_stand_side_by_side_and_what_differs_is_marked(page: Page) -> None:
    page.enlarge("Boat")

    page.keys("c")

    page.until(lambda: page.run("return document.querySelectorAll('.side-by-side figure').length") == 2)
    marked = set(page.run("return [...document.querySelectorAll('.side-by-side .differs')].map(e => e.textContent)"))
    assert OTHER_MODEL in marked
    assert len(marked) == 2
    assert "num inference steps" in page.text(".same")


def test_zones_of_each_app_lie_over_the_picture(page: Page) -> None:
    page.enlarge("Boat")
    for name in ("TikTok", "Reels", "Shorts"):
        page.keys("z")
        assert page.text(".zones .free") == f"{name}: free, approximately"
    page.keys("z")
    page.until(lambda: not page.text(".zones"))


def downloaded(page: Page, folder: Path) -> Path:
    """Press the button for the export, and wait for the file."""
    page.downloads(folder)
    page.find("#export").click()
    page.until((folder / "duomi-marks.json").exists)
    return folder / "duomi-marks.json"


def test_picks_and_rejects_by_key_are_kept_exported_and_loaded_again(page: Page, tmp_path: Path) -> None:
    page.run("arguments[0].focus()", page.card("Boat"))
    page.keys("p", "\ue014", "x", "\ue014", "x", "x")  # in the grid: boat picked, fox rejected, hostile neither
    page.enlarge("Waiting")
    page.keys("x")  # in the large view
    assert page.find('.tools [aria-label="Reject"]').get_attribute("aria-pressed") == "true"

    page.open()
    assert page.card("Boat").accessible_name.startswith("Boat FLUX.1-dev , outdated, picked")
    file = downloaded(page, tmp_path)

    marks = json.loads(file.read_text(encoding="utf-8"))
    assert (marks["picks"], marks["rejects"]) == (["json_boat"], ["json_fox", "json_waiting"])
    assert {key: name.split("_")[0] for key, name in marks["pictures"].items()} == {
        "json_boat": "boat",
        "json_fox": "fox",
    }
    assert page.text("#exported-count") == "1 picked, 2 rejected."
    assert "duomi generate --reroll duomi-marks.json" in page.find("#exported").text
    assert "duomi gallery --serve" in page.find("#exported").text
    page.keys("\ue00c")

    marks["pictures"]["json_boat"] = "an older one.png"
    file.write_text(json.dumps({**marks, "picks": ["json_boat", "json_gone"]}), encoding="utf-8")
    page.run("localStorage.clear()")
    page.open()
    page.run("document.getElementById('marks-file').hidden = false")
    page.find("#marks-file").send_keys(str(file))
    page.until(lambda: page.text("#message").startswith("2 marks loaded; 2 left out"))
    page.find('#mark option[value="reject"]').click()
    page.shows("Fox", "Waiting")
    page.find('#mark option[value="pick"]').click()
    page.shows()


def test_a_file_that_holds_no_marks_is_refused_in_words(page: Page, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"picks": 3}', encoding="utf-8")
    page.run("document.getElementById('marks-file').hidden = false")
    page.find("#marks-file").send_keys(str(tmp_path / "other.json"))

    page.until(lambda: page.text("#message") == "other.json is no file of marks: export one here.")


def test_a_hostile_prompt_shows_as_itself_and_runs_nothing(page: Page) -> None:
    page.find("#query").send_keys("=hyperlink(1)")
    page.shows("Hostile")

    page.enlarge("Hostile")

    assert page.text(".panel .prompt") == HOSTILE
    assert HOSTILE in page.run("return [...document.querySelectorAll('.panel dd')].map(e => e.textContent)")
    assert page.find(".picture img").get_attribute("alt") == f"Hostile: {HOSTILE[:200]}"
    assert page.run("return window.hacked === undefined")
    assert page.run("return document.querySelectorAll('img[src=\"x\"], .panel script').length") == 0


def test_a_right_to_left_text_turns_itself_and_nothing_beside_it(page: Page) -> None:
    style = "const s = getComputedStyle(document.querySelector(arguments[0])); return [s.direction, s.unicodeBidi]"
    page.enlarge("Hostile")

    assert page.run(style, ".panel .prompt") == ["rtl", "plaintext"]  # each line by itself
    assert {page.run(style, place)[0] for place in (".panel", ".panel h2", ".facts", ".table dt", ".history")} == {
        "ltr"
    }
    page.keys("\ue00c")
    assert page.run(style, ".card .title") == ["ltr", "isolate"]
    assert page.run(style, ".card .sub")[0] == "ltr"


def test_an_address_with_a_prompt_id_opens_its_large_view(page: Page) -> None:
    page.open("#json_tower")

    page.until(lambda: page.text(".panel h2") == "Tower")


def test_dark_and_light_change_by_the_button_and_stay(page: Page) -> None:
    before = page.run("return document.documentElement.dataset.theme")
    page.find("#theme").click()
    page.open()

    assert {before, page.run("return document.documentElement.dataset.theme")} == {"dark", "light"}


def test_every_control_has_an_accessible_name_and_the_log_is_clean(page: Page) -> None:
    page.enlarge("Boat")
    unnamed = page.run("""return [...document.querySelectorAll('button, input, select, dialog')].filter(e =>
        !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)).map(e => e.outerHTML)""")

    assert unnamed == []
    assert [entry["message"] for entry in page.driver.get_log("browser")] == []


def test_a_mark_leaves_with_the_picture_that_it_was_given_to(driver: Any, tmp_path: Path) -> None:
    page = Page(driver, write_large(tmp_path, 3))
    page.open()
    page.run("arguments[0].focus()", page.card("Card 0"))
    page.keys("x")
    assert page.run("return JSON.parse(duomi.marks.exported()).rejects") == ["json_0"]

    write_large(tmp_path, 3, made_at=1_700_000_100.0)
    page.open()

    assert page.run("return JSON.parse(duomi.marks.exported()).rejects") == []


@pytest.fixture(scope="module")
def large(driver: Any, tmp_path_factory: pytest.TempPathFactory) -> Page:
    return Page(driver, write_large(tmp_path_factory.mktemp("large"), 10_000))


def test_ten_thousand_prompts_paint_and_answer_keys_quickly(large: Page) -> None:
    page = large
    page.open()
    painted = page.run("return performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert painted < 1000
    assert page.run("return document.querySelectorAll('#grid li').length") < 100
    page.until(lambda: page.run("return duomi.isPrepared === true"))
    page.run("""window.taken = []; addEventListener('input', () => {
        const began = performance.now();
        requestAnimationFrame(() => setTimeout(() => taken.push(performance.now() - began)));
    }, true)""")

    for number, key in enumerate("number9876", 1):
        page.find("#query").send_keys(key)
        page.until(partial(page.run, f"return taken.length === {number}"))

    page.shows("Card 9876")
    assert sorted(page.run("return taken"))[5] < 100, "milliseconds per key, from the key to the next picture"


def test_of_ten_thousand_prompts_a_kind_of_flag_is_found_that_the_page_does_not_know(large: Page) -> None:
    large.open()

    assert large.text('#flag option[value="is out_of_tune"]') == "out of tune (100)"
    large.find('#flag option[value="is out_of_tune"]').click()

    large.until(lambda: large.text("#count") == "100 of 10,000")
    assert large.titles()[:3] == ["Card 0", "Card 100", "Card 200"]


def test_the_last_of_ten_thousand_prompts_can_be_reached(large: Page) -> None:
    page = large
    page.open()

    page.find('[data-at="0"]').send_keys("\ue010")  # end

    page.until(lambda: page.run("return document.activeElement.dataset.at") == "9999")
    page.until(lambda: page.titles()[-1:] == ["Card 9999"])
