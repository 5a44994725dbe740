"""What a model does not take is named before anything is sent; what it draws in another size arrives as asked."""

import json

import pytest

from duomi_pipeline.engine import GENERATED_BY_ITSELF, State
from duomi_pipeline.manifest import planned_rows
from duomi_pipeline.prompts import read_sources
from duomi_pipeline.settings import ParameterOverrides, SettingsError
from duomi_pipeline_tests.engine.home import SIZE, Home

SD35 = "stabilityai/stable-diffusion-3-5-large"
OWN = {"model": SD35, "num_inference_steps": 60}
WORDS = f"num_inference_steps=60: {SD35} takes 1 to 50"


def test_a_prompts_own_value_that_its_model_does_not_take_fails_it_alone_and_sends_nothing(home: Home) -> None:
    home.write("a", "a lighthouse", generation=OWN)
    home.write_many(6)
    run = home.run()
    assert (run.stop, run.counts["generated"], home.posts) == (None, 6, 6)
    assert {name: failure.split(" (")[0] for name, failure in run.failures.items()} == {"json_a": WORDS}
    assert run.outcome("a").attempts == 0
    entry = home.plan().by_id["json_a"]
    assert (entry.state, entry.purchase and entry.purchase.error_message) == (State.FAILED_FOR_GOOD, WORDS)
    assert home.run(GENERATED_BY_ITSELF).outcomes == ()
    home.write("a", "a lighthouse", generation={**OWN, "num_inference_steps": 50})
    assert home.run(GENERATED_BY_ITSELF).counts["generated"] == 1


def test_a_picture_that_is_there_is_current_whatever_the_profile_says_by_now(home: Home) -> None:
    home.write("a", "a lighthouse", generation={"model": "m", "num_inference_steps": 60})
    home.run()
    (home.path / "models.toml").write_text('["m"]\nranges = { num_inference_steps = [1, 50] }\n', encoding="utf-8")
    assert home.state("a") is State.CURRENT


def test_a_setting_that_the_model_does_not_take_stops_the_start(home: Home) -> None:
    home.write_many(3)
    with pytest.raises(SettingsError, match=f"^DUOMI_{WORDS.replace('num_inference_steps', 'NUM_INFERENCE_STEPS')}$"):
        home.run(model=SD35, num_inference_steps=60)
    with pytest.raises(SettingsError, match=f"^{WORDS}$"):
        home.run(parameters=ParameterOverrides(model=SD35, num_inference_steps=60))
    assert home.posts == 0


@pytest.mark.parametrize(
    ("model", "requested", "received"),
    [
        ("stabilityai/stable-diffusion-xl-base-1.0", SIZE, SIZE),
        ("stabilityai/stable-diffusion-xl-base-1.0", SIZE, "1024x1024"),
        ("gpt-image-2", "720x1280", "720x1280"),
        ("my/own", "576x1024", "576x1024"),
        ("gemini-3-pro-image-preview", SIZE, "768x1344"),
    ],
)
def test_requested_received_and_delivered_size_are_on_record(
    home: Home, model: str, requested: str, received: str
) -> None:
    home.sandbox.change_faults(rate_wrong_size=1.0 if received == "1024x1024" else 0.0)
    (home.path / "models.toml").write_text('["my/own"]\nsizes = ["1024x1024", "576x1024"]\n', encoding="utf-8")
    home.write("a", "a lighthouse")
    outcome = home.run(model=model).outcome("a")
    info, file = home.infos()["json_a"], outcome.files[0]
    assert (info.requested_size, info.received_size, info.size) == (requested, received, SIZE)
    assert (file.received_size, file.size) == (received, SIZE)
    assert home.pictures() == [("PNG", (72, 128))]
    with home.session(model=model) as session:
        row = planned_rows(session, session.plan(read_sources(session.settings).prompts).entries)[0]
    assert (row["received_size"], row["size"]) == (received, SIZE)
    assert requested in json.dumps(json.loads(row["data"])["request"]) or model.startswith("gemini")
