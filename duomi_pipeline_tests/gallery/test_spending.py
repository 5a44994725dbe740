"""The gallery's page of what was spent, in Chromium."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from duomi_pipeline.gallery.spending import spending_page, write_spending
from duomi_pipeline.gallery.write import copy_page
from duomi_pipeline.ledger import Billing, BillSum
from duomi_pipeline_tests.engine.home import Home
from duomi_pipeline_tests.gallery.browser import Page
from duomi_pipeline_tests.gallery.test_page import AXE

HOSTILE = "</title><b>"  # of twelve characters at most, as the setting allows


def bill(billing: Billing, currency: str, pictures: int, amount: float, unpriced: int = 0) -> BillSum:
    return BillSum(billing, currency, pictures, pictures, amount, unpriced)


DAYS = {
    date(2025, 1, 1): [bill(Billing.BILLED, "CNY", 1, 0.1)],  # too long ago
    date(2026, 1, 1): [bill(Billing.BILLED, "CNY", 10, 1.0), bill(Billing.AMBIGUOUS, "CNY", 1, 0.1)],
    date(2026, 1, 3): [bill(Billing.BILLED, "CNY", 24, 2.0, unpriced=4), bill(Billing.BILLED, HOSTILE, 1, 7.0)],
}


def show(driver: Any, folder: Path, text: str) -> None:
    """Write a page beside what it loads, and open it."""
    copy_page(folder)
    (folder / "spending.html").write_text(text, encoding="utf-8")
    driver.get((folder / "spending.html").as_uri())


def cells(driver: Any) -> list[list[str]]:
    rows: list[list[str]] = driver.execute_script(
        "return [...document.querySelectorAll('tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return rows


def test_a_bar_stands_for_each_day_and_the_table_has_the_figures(driver: Any, tmp_path: Path) -> None:
    driver.get_log("browser")
    show(driver, tmp_path, spending_page(DAYS, "CNY"))

    assert cells(driver) == [
        ["2026-01-03", "25", f"7.00 {HOSTILE} and 2.00 CNY and 4 pictures at an unknown price", "–"],
        ["2026-01-01", "10", "1.00 CNY", "0.10 CNY"],
    ]
    bars = driver.execute_script(
        "return [...document.querySelectorAll('rect')].map(bar => [bar.getBBox().x, bar.getBBox().height])"
    )
    (first, low), (last, high) = bars
    assert high == 2 * low == 160
    assert last - first == 2 * 12, "a day without spending has its place"
    assert driver.execute_script("return getComputedStyle(document.querySelector('rect')).fill") != "rgb(0, 0, 0)"
    assert driver.get_log("browser") == []


def test_the_gallery_leads_to_it_and_back(page: Page) -> None:
    page.driver.find_element("id", "spending").click()
    page.until(lambda: page.driver.title == "Spending")
    page.driver.find_element("link text", "Back to the gallery").click()
    page.until(lambda: page.driver.title == "Gallery")


def test_a_hostile_currency_is_text(driver: Any, tmp_path: Path) -> None:
    show(driver, tmp_path, spending_page(DAYS, HOSTILE))
    assert driver.execute_script("return [document.title, document.querySelectorAll('b').length]") == ["Spending", 0]
    assert f"at most 7.00 {HOSTILE} a day" in driver.execute_script("return document.body.innerText")


def test_what_a_run_paid_is_on_the_page_and_the_sandbox_is_not(home: Home) -> None:
    folder = home.path / "out" / "gallery"
    home.write("boat", "A boat")
    home.run(base_url="sandbox", api_key=None)
    with home.session() as session:
        write_spending(session.ledger, folder, "CNY")
    assert "Nothing was spent yet." in (folder / "spending.html").read_text(encoding="utf-8")

    home.write("fox", "A fox")
    home.run(price_per_image=0.25)
    with home.session() as session:
        write_spending(session.ledger, folder, "CNY")
    text = (folder / "spending.html").read_text(encoding="utf-8")
    assert text.count("<rect ") == 1
    assert "0.50 CNY" in text


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed: npm install in duomi_pipeline_tests/gallery")
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_axe_finds_nothing_against_wcag_2_2_aa(driver: Any, tmp_path: Path, theme: str) -> None:
    show(driver, tmp_path, spending_page(DAYS, "CNY"))
    driver.execute_script("localStorage.setItem('duomi-gallery-theme', arguments[0])", theme)
    driver.refresh()
    driver.execute_script(AXE.read_text(encoding="utf-8"))

    found = driver.execute_async_script("""
        const done = arguments[0];
        axe.run({ preload: false, runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] })
          .then(r => done(r.violations.map(v => [v.id, v.nodes.map(n => n.html)])))""")

    assert found == []
