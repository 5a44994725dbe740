"""The CSV in a spreadsheet: no cell is a formula, wherever it is split, and every text can be read."""

import csv
import io
from itertools import product

import pandas as pd
import pytest

from duomi_pipeline_tests.engine.home import Home
from duomi_pipeline_tests.manifest.harness import write

FIRST_SIGNS = "=+-@＝＋－＠"
SKIPPED = ' \t\r\n"\u00a0\u3000\u200b\ufeff'
BEFORE = ["", " ", "\t", "\r\n", "\x00", "\u3000", "\u200b", "\ufeff", '"', "a;", 'a; "', "a\n", "a\r", "a\t"]


def csv_of(home: Home, text: str) -> str:
    """The CSV of a home with one prompt."""
    home.write("a", text)
    return write(home)["csv"].read_bytes().decode("utf-8-sig")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_no_cell_begins_a_formula_wherever_the_file_is_split(home: Home, delimiter: str) -> None:
    for number, (before, sign) in enumerate(product(BEFORE, FIRST_SIGNS)):
        home.write(f"a{number}", f"{before}{sign}cmd|' /C calc'!A0;\"b\n{sign}1")
    text = write(home)["csv"].read_bytes().decode("utf-8-sig")

    cells = [cell for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) for cell in row]

    # An apostrophe marks a text; any other quote or blank before a formula is nothing to rely on.
    begun = [cell.lstrip(SKIPPED) for cell in cells]
    assert [cell for cell in begun if cell[:1] and cell[0] in FIRST_SIGNS] == []
    assert sum("calc" in cell for cell in cells) == len(BEFORE) * len(FIRST_SIGNS)


@pytest.mark.parametrize("text", ["a - b, 1 + 1 = 2", "me@example.com", "9:16; vertical", "'quoted'", "山水 – 竖幅"])
def test_a_harmless_text_is_left_as_it_is(home: Home, text: str) -> None:
    (_, row) = csv.reader(io.StringIO(csv_of(home, text), newline=""))

    assert text in row


def test_line_breaks_stand_in_quotes_and_control_characters_are_shown(home: Home) -> None:
    (_, row) = csv.reader(io.StringIO(csv_of(home, "one\r\ntwo\rthree\nfour \x00\x1b\x7f\x85"), newline=""))

    assert "one\ntwo\nthree\nfour ␀␛␡\ufffd" in row


def test_a_text_too_long_for_a_cell_is_cut_with_a_mark(home: Home) -> None:
    (_, row) = csv.reader(io.StringIO(csv_of(home, "🦊" * 25_000), newline=""))

    (cell,) = (cell for cell in row if cell.startswith("🦊"))
    assert cell == "🦊" * 16_383 + "…"
    assert len(cell.encode("utf-16-le")) // 2 == 32_767


def test_excel_is_told_the_encoding_and_pandas_does_not_mind(home: Home) -> None:
    home.write("a", "水墨山居")
    path = write(home)["csv"]

    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    assert pd.read_csv(path)["prompt_id"].tolist() == ["json_a"]


def test_texts_stand_in_quotes_and_numbers_do_not(home: Home) -> None:
    assert '"json_a","json","a.json",' in csv_of(home, "A boat")
    assert ",51515151," in csv_of(home, "A boat")
