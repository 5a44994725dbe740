"""`DuomiImageGenerator`: the guide's class on the engine's money, folder and states."""

import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from duomi_pipeline import DuomiImageGenerator
from duomi_pipeline.engine import State
from duomi_pipeline.maintenance.reconcile import survey
from duomi_pipeline.prompts import SourceError
from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline.settings import SettingsError
from duomi_pipeline_tests.engine.home import SIZE, Home, wait_until
from duomi_pipeline_tests.processes import started
from duomi_pipeline_tests.prompts.harness import prompt_database

DRAGON = "a majestic dragon flying over a castle"
ROWS = ("A red boat", "A fox in the snow", None, "A clock tower")


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(faults=Faults(picture="flat")) as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home folder with four table rows, which the environment names."""
    (tmp_path / "data").mkdir()
    prompt_database(tmp_path / "data" / "llm_video_batch.db", ROWS, names=("boat", None))
    settings = f'base_url = "{sandbox.url}"\nimage_size = "{SIZE}"\nprice_per_image = 0.1\n'
    (tmp_path / "duomi.toml").write_text(settings)
    monkeypatch.setenv("DUOMI_HOME", str(tmp_path))
    with closing(Home(tmp_path, sandbox, max_concurrency=4)) as opened:
        yield opened


def errors(results: list[dict[str, Any]]) -> list[str]:
    return [result["error"] for result in results if not result["success"]]


def single_prompt_files(home: Home) -> list[dict[str, Any]]:
    found = sorted((home.path / "out" / "prompt_json").glob("single_prompt_*.json"))
    return [json.loads(file.read_text(encoding="utf-8")) for file in found]


def test_the_guides_first_example_gives_a_picture_and_a_copy_under_the_name_that_was_asked(home: Home) -> None:
    generator = DuomiImageGenerator()
    result = generator.generate_image(DRAGON)

    assert result["success"], result
    assert (result["prompt"], result["source"]) == (DRAGON, "single_prompt")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", result["timestamp"])
    assert re.fullmatch(r"single_prompt_\d{8}_\d{6}_\d{3}\.png", Path(result["saved_path"]).name)
    assert "error" not in result
    copies = [generator.save_generated_image(result, "dragon_castle") for _ in range(2)]

    assert len(set(copies)) == 2, "the first copy is not overwritten"
    for copy in copies:
        assert copy is not None
        assert re.fullmatch(r"dragon_castle_\d{8}_\d{6}_\d{3}\.png", Path(copy).name)
        assert _pixels(copy) == _pixels(result["saved_path"])
    assert Path(result["saved_path"]).is_file()


def test_a_copy_is_no_purchase_to_doctor_and_is_not_paid_twice_after_a_lost_ledger(home: Home) -> None:
    generator = DuomiImageGenerator()
    copy = generator.save_generated_image(generator.generate_image(DRAGON), "single_prompt")
    with home.session() as session:
        found = survey(session)
        assert (found.unrecorded, found.gone) == ((), ())
        assert found.foreign == (Path(copy or "").name,)
    for file in (home.path / "out").glob("ledger.db*"):
        file.unlink()
    with home.session() as session:
        assert len(survey(session).unrecorded) == 1


def test_what_cannot_be_copied_gives_none_and_is_logged(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    generator = DuomiImageGenerator()
    result = generator.generate_image(DRAGON)
    Path(result["saved_path"]).unlink()
    assert generator.save_generated_image(result, "gone") is None
    assert "No copy of" in caplog.text
    assert generator.save_generated_image({"success": False, "error": "no"}, "x") is None


def test_the_same_call_twice_pays_once_and_is_one_prompt_also_in_another_script(home: Home) -> None:
    first = DuomiImageGenerator().generate_image(DRAGON, seed=42)
    again = DuomiImageGenerator().generate_image(DRAGON, seed=42)
    assert again["saved_path"] == first["saved_path"]
    assert (home.posts, single_prompt_files(home)) == (
        1,
        [{"image_prompt": DRAGON, "generation": {"seed": 42}}],
    )
    assert home.plan().counts[State.CURRENT] == 1
    DuomiImageGenerator().generate_image(DRAGON, seed=43)
    assert (home.posts, len(single_prompt_files(home))) == (2, 2)


def test_custom_parameters_are_what_is_sent_and_kept_with_the_prompt(home: Home) -> None:
    custom = {"image_size": "64x64", "guidance_scale": 10.0, "num_inference_steps": 30, "seed": 42}
    result = DuomiImageGenerator().generate_image(DRAGON, **custom)
    body = json.loads(home.sandbox.books.posts()[0].body)
    assert {name: body[name] for name in custom} == custom
    assert _size(result["saved_path"]) == (64, 64)
    assert single_prompt_files(home) == [{"image_prompt": DRAGON, "generation": custom}]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"sampler": "euler"}, 'no parameter "sampler"; there are model, image_size'),
        ({"seed": -1}, "seed=-1"),
        ({"image_size": "large"}, "1080x1920"),
    ],
)
def test_a_parameter_that_is_none_or_out_of_range_is_told_before_anything_is_sent(
    home: Home, params: dict[str, Any], words: str
) -> None:
    generator = DuomiImageGenerator()
    with pytest.raises(ValueError, match=re.escape(words)):
        generator.generate_image(DRAGON, **params)
    generator.default_params |= params
    with pytest.raises(ValueError, match=re.escape(words)):
        generator.batch_generate_from_database()
    assert (home.posts, single_prompt_files(home)) == (0, [])


def test_default_params_are_the_settings_and_changes_hold_for_later_calls_of_every_kind(home: Home) -> None:
    home.write("own", "A boat with a seed of its own", generation={"guidance_scale": 3.0})
    generator = DuomiImageGenerator()
    assert (generator.default_params["image_size"], generator.default_params["seed"]) == (SIZE, 51515151)
    generator.default_params["model"] = "black-forest-labs/FLUX.1-dev"
    generator.default_params["guidance_scale"] = 10.0

    generator.generate_image(DRAGON)
    generator.batch_generate_from_database(limit=1)
    generator.batch_generate_from_json()

    bodies = {post.prompt: json.loads(post.body) for post in home.sandbox.books.posts()}
    assert {body["model"] for body in bodies.values()} == {"black-forest-labs/FLUX.1-dev"}
    assert bodies[DRAGON]["guidance_scale"] == bodies["A red boat"]["guidance_scale"] == 10.0
    assert bodies["A boat with a seed of its own"]["guidance_scale"] == 3.0, "a prompt's own JSON wins"


def test_a_batch_gives_one_result_per_prompt_in_order_and_the_command_line_knows_its_pictures(home: Home) -> None:
    generator = DuomiImageGenerator()
    results = generator.batch_generate_from_database(limit=2, delay=0.01)
    assert [(r["prompt"], r["source"], r["success"]) for r in results] == [
        ("A red boat", "database", True),
        ("A fox in the snow", "database", True),
    ]
    assert [Path(r["saved_path"]).name[:5] for r in results] == ["db_1_", "db_2_"]
    plan = home.plan()
    assert [e.prompt.id for e in plan.entries if e.state is State.CURRENT] == ["db_1", "db_2"]
    whole = generator.batch_generate_from_database()
    assert [r["data"]["how"] for r in whole] == ["reused", "reused", "generated"]
    assert home.posts == 3


def test_pictures_of_other_settings_are_made_anew_because_a_script_asks_for_each(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    DuomiImageGenerator().batch_generate_from_database()
    monkeypatch.setenv("DUOMI_NUM_INFERENCE_STEPS", "30")
    results = DuomiImageGenerator().batch_generate_from_database(limit=1)
    assert (results[0]["data"]["how"], home.posts) == ("generated", 4)


def test_a_refused_prompt_fails_alone_and_is_asked_again_as_that_is_free(home: Home) -> None:
    home.sandbox.change_faults(refuse=("fox",))
    for name, text in (("boat", "A boat"), ("fox", "A fox"), ("tower", "A tower")):
        home.write(name, text)
    generator = DuomiImageGenerator()
    results = generator.batch_generate_from_json()
    assert [r["success"] for r in results] == [True, False, True]
    assert "rejected" in results[1]["error"]
    assert (results[1]["data"], results[1]["prompt"], "saved_path" in results[1]) == (None, "A fox", False)
    home.sandbox.change_faults(refuse=())
    assert all(r["success"] for r in generator.batch_generate_from_json())


def test_what_may_have_been_billed_is_not_sent_again_by_a_script(home: Home) -> None:
    home.sandbox.change_faults(rate_reset_after=1.0)
    (home.path / ".env").write_text("DUOMI_AMBIGUOUS_RETRIES=0\n")
    generator = DuomiImageGenerator()
    first = generator.generate_image(DRAGON)
    home.sandbox.change_faults(rate_reset_after=0.0)
    again = generator.generate_image(DRAGON)
    assert (first["success"], again["success"], home.posts) == (False, False, 1)
    assert f"`duomi generate --failed --prompt-id {first['prompt_id']}`" in again["error"]


def test_a_wrong_key_ends_the_batch_at_once_and_is_nowhere_in_what_is_left(home: Home) -> None:
    home.sandbox.change_faults(api_key="sk-right")
    (home.path / ".env").write_text("DUOMI_MAX_CONCURRENCY=1\n")
    generator = DuomiImageGenerator(api_key="sk-wrong-0123456789")
    results = generator.batch_generate_from_database()
    assert (len(errors(results)), home.posts) == (3, 1)
    assert all("Check DUOMI_API_KEY" in error for error in errors(results))
    assert "Check DUOMI_API_KEY" in generator.generate_image(DRAGON)["error"]
    log = generator.save_results_log(results)
    assert DuomiImageGenerator(api_key="sk-right").generate_image(DRAGON)["success"]
    assert "sk-" not in repr(results) + repr(vars(generator)) + Path(log).read_text()
    left = [file for file in home.path.rglob("*") if file.is_file() and b"sk-" in file.read_bytes()]
    assert left == []


def test_a_cap_ends_a_batch_and_the_prompts_not_reached_say_so(home: Home) -> None:
    (home.path / ".env").write_text("DUOMI_MAX_IMAGES_PER_RUN=1\nDUOMI_MAX_CONCURRENCY=1\n")
    results = DuomiImageGenerator().batch_generate_from_database()
    assert [r["success"] for r in results] == [True, False, False]
    assert all(error.startswith("Not reached: DUOMI_MAX_IMAGES_PER_RUN=1 is reached") for error in errors(results))
    assert home.billed == 1


def test_a_lost_ledger_heals_and_nothing_is_bought_again(home: Home) -> None:
    generator = DuomiImageGenerator()
    generator.generate_image(DRAGON)
    for file in (home.path / "out").glob("ledger.db*"):
        file.unlink()
    assert generator.generate_image(DRAGON)["success"]
    assert home.posts == 1


def test_a_ledger_that_cannot_be_opened_is_a_result_with_the_reason(home: Home) -> None:
    (home.path / "out").mkdir(exist_ok=True)
    (home.path / "out" / "ledger.db").write_text("no database at all, but a text that somebody put here")
    assert errors(DuomiImageGenerator().batch_generate_from_database(limit=1))
    assert home.posts == 0


@pytest.mark.parametrize("text", ["", "  \n", "half a character \ud83d", None, 7])
def test_what_is_no_prompt_is_a_result_with_the_reason(home: Home, text: Any) -> None:
    result = DuomiImageGenerator().generate_image(text)
    assert (result["success"], result["prompt"]) == (False, text)
    assert "The prompt cannot be kept" in result["error"]
    assert (home.posts, single_prompt_files(home)) == (0, [])


def test_prompts_are_told_as_the_tables_and_files_have_them(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    home.write("Night_fox", "A fox at night")
    (home.path / "out" / "prompt_json" / "bad.json").write_text("{}")
    generator = DuomiImageGenerator()
    rows = generator.get_prompts_from_database(limit=2)
    assert rows[0] == {
        "id": 1,
        "image_id": 1,
        "prompt": "A red boat",
        "original_filename": "1.jpg",
        "descriptive_name": "boat",
        "source": "database",
        "prompt_id": "db_1",
    }
    assert [row["id"] for row in generator.get_prompts_from_database()] == [1, 2, 4]
    assert generator.get_prompts_from_json_files() == [
        {
            "id": "Night_fox",
            "prompt": "A fox at night",
            "filename": "Night_fox.json",
            "source": "json",
            "prompt_id": "json_Night_fox",
        }
    ]
    assert generator.get_prompts_from_json_files(home.path / "nowhere") == []
    assert "prompts.id=3: image_prompt is NULL" in caplog.text
    assert 'bad.json: no "image_prompt"' in caplog.text


def test_another_folder_of_json_files_can_be_given(home: Home, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "owl.json").write_text('{"image_prompt": "An owl"}')
    (result,) = DuomiImageGenerator().batch_generate_from_json("other")
    assert Path(result["saved_path"]).name.startswith("owl_")


def test_a_database_that_cannot_be_read_is_an_error_and_not_an_empty_list(home: Home) -> None:
    (home.path / "data" / "llm_video_batch.db").unlink()
    generator = DuomiImageGenerator()
    for call in (generator.get_prompts_from_database, generator.batch_generate_from_database):
        with pytest.raises(SourceError, match=r"Failed to retrieve prompts from database: .*set DUOMI_DATABASE"):
            call()


def test_wrong_settings_and_arguments_are_told_before_anything_is_sent(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = DuomiImageGenerator()
    with pytest.raises(ValueError, match="limit=-1"):
        generator.batch_generate_from_database(limit=-1)
    with pytest.raises(SettingsError, match="DUOMI_DELAY"):
        generator.batch_generate_from_database(delay=-1)
    monkeypatch.setenv("DUOMI_SEED", "many")
    with pytest.raises(SettingsError, match="DUOMI_SEED"):
        DuomiImageGenerator()
    assert home.posts == 0


def test_results_are_written_where_they_are_wanted_else_beside_those_of_the_runs(home: Home) -> None:
    generator = DuomiImageGenerator()
    results = generator.batch_generate_from_database(limit=1)
    paths = [Path(generator.save_results_log(results)) for _ in range(2)]
    assert len(set(paths)) == 2
    assert all(re.fullmatch(r"duomi_generation_results_\d{8}_\d{6}_\d{3}\.json", path.name) for path in paths)
    assert {path.parent for path in paths} == {home.path / "logs"}
    mine = generator.save_results_log([], "mine/results.json")
    assert generator.save_results_log(results, "mine/results.json") == mine == str(home.path / "mine" / "results.json")
    assert json.loads(Path(mine).read_text())["results"] == json.loads(paths[0].read_text())["results"] == results


def test_each_run_of_a_script_is_in_the_log_and_among_the_results_files(home: Home) -> None:
    DuomiImageGenerator().batch_generate_from_database(limit=1)
    log = (home.path / "logs" / "duomi_image_generation.log").read_text()
    assert "started: from python" in log
    assert "db_1: generated in" in log
    (kept,) = (home.path / "logs").glob("duomi_generation_results_*.json")
    content = json.loads(kept.read_text())
    assert (content["receipt"]["door"], content["results"][0]["prompt_id"]) == ("python", "db_1")


def test_importing_the_package_is_cheap_and_the_class_brings_no_dagster() -> None:
    code = """
import sys
import duomi_pipeline
assert [name for name in sys.modules if name.startswith("duomi_pipeline.")] == []
from duomi_pipeline import DuomiImageGenerator
assert "dagster" not in sys.modules
assert DuomiImageGenerator.__module__ == "duomi_pipeline.api.generator"
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    with pytest.raises(ImportError):
        from duomi_pipeline import DuomiVideoGenerator  # type: ignore[attr-defined] # noqa: F401, PLC0415


def test_ctrl_c_reaches_the_script_after_what_is_in_flight_is_saved(home: Home) -> None:
    home.sandbox.change_faults(latency=0.5)
    code = """
from duomi_pipeline import DuomiImageGenerator
try:
    DuomiImageGenerator().batch_generate_from_database()
except KeyboardInterrupt:
    print("interrupted")
"""
    (home.path / ".env").write_text("DUOMI_MAX_CONCURRENCY=2\n")
    with started([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as script:
        wait_until(lambda: home.posts == 2, "two requests in flight")
        script.send_signal(signal.SIGINT)
        out, _ = script.communicate(timeout=30)
    assert out == "interrupted\n"
    assert (home.posts, home.billed, len(home.files())) == (2, 2, 2)
    with home.session() as session:
        last = session.ledger.last_run()
        assert last is not None
        assert last.stopped_by == "interrupted"


def _pixels(path: str) -> bytes:
    with Image.open(io.BytesIO(Path(path).read_bytes())) as picture:
        return picture.tobytes()


def _size(path: str) -> tuple[int, int]:
    with Image.open(io.BytesIO(Path(path).read_bytes())) as picture:
        return picture.size
