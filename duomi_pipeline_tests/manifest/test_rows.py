"""What a row says: the picture, its cost, its failure."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest

from duomi_pipeline.engine import Session, State
from duomi_pipeline.ledger import Ledger, Limits, Origin, PictureFile, Purchase
from duomi_pipeline.ledger.repair import Findings, FoundPurchase
from duomi_pipeline.manifest import COLUMNS, Row, planned_rows
from duomi_pipeline.prompts import Prompt, read_sources
from duomi_pipeline_tests.engine.home import Home
from duomi_pipeline_tests.manifest.harness import made, rows, seed_database, table, write
from duomi_pipeline_tests.statements import statements


def restored(home: Home, names: list[str], seed: int) -> None:
    """Put pictures of some prompts into ledger and folder, as if they had been bought."""
    home.images.mkdir(parents=True, exist_ok=True)
    with home.session() as session:
        plan = session.plan(read_sources(session.settings).prompts)
        found = []
        for entry in (plan.by_id[f"json_{name}"] for name in names):
            (home.images / f"{entry.prompt.id}.png").write_bytes(b"x")
            file = PictureFile(
                entry.prompt.id, 0, 0, f"{entry.prompt.id}.png", 1, "1x1", "1x1", Origin.GENERATED, 1.7e9
            )
            found.append(
                FoundPurchase(
                    request_key=entry.request.key,
                    request=entry.request.canonical,
                    prompt_id=entry.prompt.id,
                    prompt_version=entry.prompt.version,
                    settings_fingerprint="",
                    seed=seed,
                    task_id=None,
                    saved_at=1.7e9,
                    price=0.1,
                    currency="CNY",
                    was_paid=True,
                    files=(file,),
                )
            )
        session.ledger.adopt(Findings(tuple(found)))


def test_a_row_holds_all_pictures_of_its_prompt_and_what_was_sent_for_them(home: Home) -> None:
    home.write("fox", "A fox", negative_prompt="hares")
    home.run(batch_size=2)

    row = rows(home, batch_size=2)["json_fox"]

    first, second = home.files()
    assert (row["success"], row["state"], row["source"]) == (True, "current", "json")
    assert (row["saved_path"], row["saved_paths"]) == (str(first), [str(first), str(second)])
    assert (row["files"], row["bytes"]) == (2, first.stat().st_size + second.stat().st_size)
    assert (row["cost"], row["currency"]) == (pytest.approx(0.2), "CNY")
    data = row["data"]
    assert (data["seed"], data["task_id"], data["sent_prompt"]) == (row["seed"], None, None)
    assert data["request"]["negative_prompt"] == "hares"
    assert "prompt" not in data["request"]
    assert [image["path"] for image in data["images"]] == row["saved_paths"]
    assert [image["bytes"] for image in data["images"]] == [first.stat().st_size, second.stat().st_size]
    assert {image["how"] for image in data["images"]} == {"generated"}


def test_no_address_of_the_service_is_in_a_row(home: Home) -> None:
    home.write("fox", "A fox")
    home.run(protocol="duomi_async")

    row = rows(home, protocol="duomi_async")["json_fox"]

    assert row["data"]["task_id"]
    assert not re.search("https?://", str(row))


def test_times_are_iso_8601_and_a_typed_column(home: Home) -> None:
    home.write("fox", "A fox")
    home.write("hare", "A hare")
    home.sandbox.change_faults(refuse=("hare",))
    home.run()

    found = table(home)
    fox, hare = found["timestamp"]

    assert found["made_at"].dtype == "datetime64[ms, UTC]"
    assert found["made_at"][0] == datetime.fromisoformat(fox)
    assert found["made_at"].isna().tolist() == [False, True]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", hare)


def test_a_copy_of_what_another_prompt_paid_costs_nothing(home: Home) -> None:
    home.write("a", "The same")
    home.write("b", "The same")
    home.run()

    found = rows(home)

    assert sorted(row["cost"] for row in found.values()) == [0.0, 0.1]
    assert {row["currency"] for row in found.values()} == {"CNY"}
    assert sorted(row["data"]["images"][0]["how"] for row in found.values()) == [Origin.GENERATED, "reused"]


def test_an_unknown_price_is_null_and_a_copy_is_free_all_the_same(home: Home) -> None:
    del home.defaults["price_per_image"]
    home.write("a", "The same")
    home.write("b", "The same")
    home.run()

    assert {row["data"]["images"][0]["how"]: (row["cost"], row["currency"]) for row in rows(home).values()} == {
        "generated": (None, None),
        "reused": (0.0, "CNY"),
    }


def test_a_cost_stays_what_was_paid_when_price_and_currency_change(home: Home) -> None:
    home.write("fox", "A fox")
    home.run()

    row = rows(home, price_per_image=5.0, currency="EUR")["json_fox"]

    assert (row["cost"], row["currency"]) == (0.1, "CNY")


@contextmanager
def sent_before(home: Home, price: float, currency: str) -> Iterator[tuple[Ledger, Purchase, int]]:
    """One POST of the only prompt's purchase, sent by an earlier run that ends after the block."""
    with home.session() as session:
        request = session.plan(read_sources(session.settings).prompts).entries[0].request
        session.ledger.start_run("earlier", "cli")
        chain = session.ledger.claim(request.key, request.canonical, "earlier")
        yield session.ledger, chain, session.ledger.send(chain, "earlier", 1, Limits(price=price, currency=currency))
        session.ledger.end_run("earlier", None, None, {})


def test_what_was_billed_in_two_currencies_has_no_known_cost(home: Home) -> None:
    home.write("fox", "A fox")
    with sent_before(home, 1.0, "EUR") as (ledger, chain, post):
        ledger.answered(chain, post, [], None)
        ledger.not_taken(chain, ledger.send(chain, "earlier", 1, Limits()))
    home.run()

    row = rows(home)["json_fox"]

    assert (row["state"], row["cost"], row["currency"]) == ("current", None, None)


def test_requests_that_were_not_billed_or_whose_answer_was_lost_are_not_in_the_cost(home: Home) -> None:
    home.write("fox", "A fox")
    with sent_before(home, 1.0, "CNY") as (ledger, chain, post):
        ledger.not_taken(chain, post)
        ledger.answer_lost(chain, ledger.send(chain, "earlier", 1, Limits(price=1.0)), "ambiguous", "no answer")
    home.run()

    row = rows(home)["json_fox"]

    assert (row["state"], row["cost"], row["currency"]) == ("current", 0.1, "CNY")


def test_a_prompt_without_a_picture_has_no_cost(home: Home) -> None:
    home.write("fox", "A fox")
    home.sandbox.change_faults(refuse=("fox",))
    home.run()
    home.write("hare", "A hare")

    found = rows(home)

    assert {row["state"]: (row["cost"], row["currency"]) for row in found.values()} == {
        "failed_for_good": (None, None),
        "missing": (None, None),
    }


def test_a_refused_edit_shows_the_old_picture_only_while_it_is_there(home: Home) -> None:
    home.write("fox", "A fox")
    home.run()
    home.write("fox", "A forbidden fox")
    home.sandbox.change_faults(refuse=("forbidden",))
    home.run()

    row = rows(home)["json_fox"]
    (picture,) = home.files()
    assert (row["state"], row["success"], row["error_class"]) == ("failed_for_good", False, "refused")
    assert (row["saved_path"], row["data"]["sent_prompt"]) == (str(picture), "A fox")

    picture.unlink()
    row = rows(home)["json_fox"]
    assert (row["state"], row["saved_path"], row["saved_paths"], row["data"]) == ("failed_for_good", None, [], None)


def test_a_current_picture_carries_no_error_of_a_forced_try_that_failed(home: Home) -> None:
    home.write("fox", "A fox")
    home.run()
    home.sandbox.change_faults(rate_503=1.0)
    home.run(frozenset(State), force=True, max_attempts=1)

    row = rows(home)["json_fox"]

    assert (row["state"], row["success"], row["error_class"], row["error"]) == ("current", True, None, None)


def test_rows_of_the_table_say_what_to_join_on(home: Home) -> None:
    seed_database(home, ["A boat", "A lake"])
    home.write("fox", "A fox")

    found = rows(home)

    ids = {key: (row["prompt_row_id"], row["image_id"]) for key, row in found.items()}
    assert ids == {"db_1": (1, 101), "db_2": (2, 102), "json_fox": (None, None)}


def test_large_seeds_are_exact_beside_rows_that_have_none(home: Home) -> None:
    home.write("a", "A boat")
    home.write("b", "A lake", generation={"model": "gpt-image-2"})
    restored(home, ["a"], 2**62 + 1)

    assert {key: row["seed"] for key, row in rows(home, image_size="720x1280").items()} == {
        "json_a": 2**62 + 1,
        "json_b": None,
    }


def test_half_a_character_is_shown_as_one_that_is_missing(home: Home) -> None:
    with home.session() as session:
        plan = session.plan([Prompt("json_a", "half \ud83e of a fox", "json", "a\udcff.json", "a")])
        (found,) = planned_rows(session, plan.entries)

    assert (found["prompt"], found["origin"]) == ("half \ufffd of a fox", "a\ufffd.json")


def test_no_question_is_asked_per_prompt(home: Home) -> None:
    names = [f"p{number}" for number in range(30)]
    for name in names:
        home.write(name, f"Picture {name}")
    restored(home, names[:2], 1)
    with home.session() as session, statements() as few:
        asked_of(session)
    restored(home, names[2:], 1)
    with home.session() as session, statements() as many:
        found = asked_of(session)

    assert (len(found), {row["state"] for row in found}) == (30, {"current"})
    assert len(many) <= len(few), "of prompts without a picture the ledger is asked more, but once for all"


def asked_of(session: Session) -> list[Row]:
    """The manifest of a session's home."""
    return planned_rows(session, session.plan(read_sources(session.settings).prompts).entries)


def test_without_a_prompt_the_columns_keep_their_types(home: Home) -> None:
    assert made(home) == []
    assert Path(home.path / "out/manifest").exists() is False

    found = pd.read_parquet(write(home)["parquet"])

    assert {name: str(kind) for name, kind in found.dtypes.items()} == COLUMNS
