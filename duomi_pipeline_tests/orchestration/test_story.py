"""What Dagster tells without a click: tags of runs, why a sensor waits, which pictures are not as they are wanted."""

import shutil
from pathlib import Path

import dagster as dg
import pytest

from duomi_pipeline.orchestration.assets.results_manifest import MANIFEST_KEY, left_to_write
from duomi_pipeline.orchestration.partition_ranges import IMAGES_KEY, PartitionRange
from duomi_pipeline.orchestration.partition_sync import PROMPTS_KEY
from duomi_pipeline.orchestration.partitions import PARTITIONS_NAME
from duomi_pipeline_tests.cli.harness import duomi
from duomi_pipeline_tests.orchestration.harness import OTHER_MODEL, Project, failure_text

_FILLED = """
{ assetNodeOrError(assetKey: {path: ["prompts"]}) { ... on AssetNode {
  partitionStats { numPartitions numMaterialized } } } }
"""
NONE = {"missing", "failed_for_good", "failed_for_now", "unknown"}


def told(instance: dg.DagsterInstance, run_id: str) -> dict[str, str]:
    """The tags that Dagster's list of runs shows."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return {key: value for key, value in run.tags.items() if not key.startswith(("dagster/", ".dagster/"))}


def states(instance: dg.DagsterInstance) -> list[dict[str, object]]:
    """The metadata of all observations of `generated_images`, the latest first."""
    found = instance.fetch_observations(IMAGES_KEY, limit=20).records
    events = [record.asset_observation for record in found if record.asset_observation]
    return [{name: value.value for name, value in event.metadata.items()} for event in events]


class TestTagsOfRuns:
    def test_a_run_says_how_it_was_started_and_what_it_made(self, project: Project) -> None:
        project.service.change_faults(refuse=("p02",))
        project.configure(price_per_image=0.5)
        keys = project.write_many(4)
        project.look()
        first = project.run(keys[0])
        again = project.run(keys[0], keys[-1])

        assert told(project.instance, first.run_id) == {
            "duomi/from": "UI", "duomi/pictures": "1 new", "duomi/cost": "0.50 CNY",
        }  # fmt: skip
        assert told(project.instance, again.run_id) == {
            "duomi/from": "UI",
            "duomi/pictures": "2 new, 1 reused",
            "duomi/failed": "1",
            "duomi/cost": "1.00 CNY",
        }

    def test_a_run_of_the_sensor_says_so_and_what_it_did_not_reach(self, project: Project) -> None:
        project.configure(max_images_per_run=1, max_concurrency=1)
        project.write_many(3)

        project.daemon_tick()

        (run,) = project.instance.get_runs()
        assert run.tags["duomi/from"] == "sensor"
        assert run.tags["duomi/pictures"] == "1 new"
        assert run.tags["duomi/failed"] == "2 not reached"
        assert run.tags["duomi/cost"] == "unknown"

    def test_a_run_that_is_started_again_does_not_keep_what_the_first_one_said(self, project: Project) -> None:
        project.service.change_faults(rate_503=1.0)
        key = project.write("p00")
        project.look()
        first = project.run(key)
        assert told(project.instance, first.run_id)["duomi/failed"] == "1"
        project.service.change_faults(rate_503=0.0)

        job = project.defs().resolve_job_def("regenerate_images")
        copied = {**told(project.instance, first.run_id), **PartitionRange(key, key).tags}
        again = project.execute(job, tags=copied)

        assert told(project.instance, again.run_id)["duomi/pictures"] == "1 new"
        assert told(project.instance, again.run_id)["duomi/failed"] == "–"

    def test_the_cost_of_a_run_is_what_it_was_billed_whatever_became_of_the_pictures(self, project: Project) -> None:
        project.configure(price_per_image=0.5)
        project.service.change_faults(rate_truncated_image=1.0)
        project.write_many(2)
        keys = project.look()
        run = project.run(keys[0], keys[-1])

        assert len(project.service.books.posts()) == 2
        told_now = told(project.instance, run.run_id)
        assert (told_now["duomi/failed"], told_now["duomi/cost"]) == ("2", "1.00 CNY")
        manifest = next(event for event in project.logged(run) if event.asset == "results_manifest")
        assert manifest.metadata["run_spent_CNY"] == 1.0

    def test_what_may_have_been_billed_is_told_apart(self, project: Project) -> None:
        project.configure(price_per_image=0.001)
        project.service.change_faults(rate_reset_after=1.0)
        key = project.write("p00")
        project.look()
        run = project.run(key)

        posts = len(project.service.books.posts())
        assert told(project.instance, run.run_id)["duomi/cost"] == f"0.00 CNY, maybe {posts / 1000} CNY more"

    def test_each_run_of_a_command_has_its_own_cost(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        project.configure(price_per_image=0.5, run_size=1)
        project.write_many(3)
        assert duomi(project.home, "generate").returncode == 0

        home = project.home / ".dagster_home"
        monkeypatch.setenv("DAGSTER_HOME", str(home))
        with dg.DagsterInstance.from_config(str(home)) as instance:
            assert [run.tags["duomi/cost"] for run in instance.get_runs()] == ["0.50 CNY"] * 3

    def test_pictures_are_counted_not_prompts(self, project: Project) -> None:
        project.configure(batch_size=3)
        keys = project.write_many(2)
        project.look()
        first, again = project.run(keys[0]), project.run(keys[0], keys[-1])
        assert told(project.instance, first.run_id)["duomi/pictures"] == "3 new"
        assert told(project.instance, again.run_id)["duomi/pictures"] == "3 new, 3 reused"

    def test_a_run_that_ends_before_it_can_count_says_nothing(self, project: Project) -> None:
        key = project.write("p00")
        project.look()
        run = project.run(key, keep="99")
        assert "has no version 99" in failure_text(run)
        assert told(project.instance, run.run_id) == {"duomi/from": "UI"}


class TestWhyASensorWaits:
    def test_a_tick_names_what_is_left_to_a_person_and_what_could_not_be_read(
        self, project: Project, keys: list[str]
    ) -> None:
        project.configure(model=OTHER_MODEL)
        project.write("broken", b"{not json")

        reason = project.daemon_tick().skip_reason

        assert reason.startswith("Nothing to generate: 4 outdated. Outdated pictures are left to you: ")
        assert "Left out: broken.json: " in reason

    def test_what_is_said_of_the_manifest_is_not_said_of_a_gallery_that_nobody_wrote(
        self, project: Project, keys: list[str]
    ) -> None:
        assert (project.home / "out/manifest/results.csv").is_file()
        assert not (project.home / "out/gallery").exists()
        said = project.tick(sensor="results_after_runs").skip_message
        assert str(said).startswith("The manifest has every image run; a gallery")

    @pytest.mark.parametrize("sensor", ["new_prompts", "results_after_runs"])
    def test_a_setting_that_is_wrong_is_a_reason_not_a_traceback(self, project: Project, sensor: str) -> None:
        loaded = project.defs()
        project.instance.report_runless_asset_event(dg.AssetObservation(MANIFEST_KEY))  # something is left to write
        project.configure(max_concurrency="many")

        tick = project.tick(loaded, sensor)

        assert "DUOMI_MAX_CONCURRENCY" in str(tick.skip_message)


class TestStates:
    def test_what_is_not_current_is_told_with_its_reason_and_a_link(self, project: Project, keys: list[str]) -> None:
        project.configure(model=OTHER_MODEL)
        project.write("p01", "another | text")
        project.materialize("prompt_files")

        found = states(project.instance)[0]

        assert (found["prompts_changed"], found["prompts_outdated"], found["prompts_current"]) == (1, 3, 0)
        assert all(found[f"prompts_{state}"] == 0 for state in NONE)
        assert "[outdated](/duomi/gallery#state=outdated): 3" in str(found["look"])
        assert "(/duomi/gallery#state=changed+outdated)" in str(found["look"])
        head, _, *rows = str(found["not_current"]).splitlines()
        assert head == "| prompt | state | why |"
        assert rows[0].startswith(
            "| [json\\_p01](/assets/generated_images?view=partitions&partition=json_p01) | changed |"
        )
        assert "another text" in rows[0]
        assert "model: " in rows[1]
        assert OTHER_MODEL in rows[1]

    def test_a_picture_that_is_gone_or_cut_short_is_told_apart_from_one_that_never_was(
        self, project: Project, keys: list[str]
    ) -> None:
        gone, short, *_ = sorted((project.home / "out" / "generated_images").glob("*.png"))
        gone.unlink()
        short.write_bytes(short.read_bytes()[:100])
        project.write("p99")
        project.materialize("prompt_files")

        _, _, *rows = str(states(project.instance)[0]["not_current"]).splitlines()

        assert [row.split(" | ")[-1] for row in rows] == [*["its file is gone or cut short |"] * 2, "no picture yet |"]

    def test_a_text_from_outside_stays_a_text(self, project: Project) -> None:
        key = project.write("p00", "A fox")
        project.look()
        project.run(key)
        hostile = "<b> &lt; ~~no~~ [a](javascript:b) \u202e"
        project.write("p00", "A fox", generation={"negative_prompt": hostile})
        project.materialize("prompt_files")

        assert r"&lt;b&gt; &amp;lt; \~\~no\~\~ \[a\](javascript:b) \\u202e" in str(
            states(project.instance)[0]["not_current"]
        )

    def test_the_same_states_are_told_once(self, project: Project, keys: list[str]) -> None:
        project.configure(model=OTHER_MODEL)
        before = len(states(project.instance))

        project.tick()
        project.tick()
        project.materialize("results_manifest")

        assert len(states(project.instance)) == before + 1

    def test_of_many_prompts_the_first_are_named_and_the_rest_counted(self, project: Project) -> None:
        project.write_many(103)
        project.materialize("prompt_files")

        found = states(project.instance)[0]

        assert found["prompts_missing"] == 103
        lines = str(found["not_current"]).splitlines()
        assert len(lines) == 2 + 100 + 1
        assert lines[-1] == "| … and 3 more |  |  |"

    def test_pictures_that_are_gone_are_not_told_as_never_made(self, project: Project, keys: list[str]) -> None:
        shutil.rmtree(project.home / "out/generated_images")
        new = project.write("p99")

        project.materialize("prompt_files")

        found = states(project.instance)[0]
        assert "is not the folder that the ledger knows" in str(found["nothing_is_bought"])
        rows = str(found["not_current"]).splitlines()[2:]
        assert [row.rpartition("| missing | ")[2] for row in rows] == [
            *["its file is gone or cut short |"] * len(keys),
            "no picture yet |",
        ]
        assert f"partition={new})" in rows[-1]

    def test_a_run_that_makes_all_of_them_current_says_so(self, project: Project, keys: list[str]) -> None:
        project.configure(model=OTHER_MODEL)
        project.run(keys[0], keys[-1])
        assert states(project.instance)[0]["not_current"] == "every picture is as it is wanted"


@pytest.mark.parametrize("way", ["look", "tick", "run"])
def test_a_prompt_that_is_there_fills_its_partition_once(project: Project, way: str) -> None:
    keys = project.write_many(2)
    match way:
        case "look":
            project.look()
        case "tick":
            project.obey(project.tick())
        case "run":
            project.look_elsewhere()
            project.instance.add_dynamic_partitions(PARTITIONS_NAME, keys)
            assert project.run(*keys).success
    project.write("p00", "another text")
    project.look()

    with project.workspace() as workspace:
        stats = project.graphql(_FILLED, workspace)["assetNodeOrError"]["partitionStats"]
    assert stats == {"numPartitions": 2, "numMaterialized": 2}
    assert len(project.instance.fetch_materializations(PROMPTS_KEY, limit=9).records) == 2


@pytest.mark.parametrize(
    ("command", "asset"), [(["gallery"], "gallery"), (["manifest"], "results_manifest")], ids=["gallery", "manifest"]
)
def test_what_a_command_writes_is_a_materialization_of_its_asset_each_time(
    project: Project, keys: list[str], monkeypatch: pytest.MonkeyPatch, command: list[str], asset: str
) -> None:
    home = project.home / ".dagster_home"
    assert not home.exists()
    assert duomi(project.home, *command).returncode == 0
    assert not home.exists(), "where Dagster never worked there is nobody to tell"
    home.mkdir()

    for text in ("another text", "a third one"):
        project.write("p00", text)
        assert duomi(project.home, *command).returncode == 0

    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        found = instance.fetch_materializations(dg.AssetKey(asset), limit=9).records
        assert len(found) == 2
        assert found[0].asset_materialization is not None
        assert {name for name in found[0].asset_materialization.metadata if name.startswith("path")}


def manifests_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many materializations of the manifest the Dagster of a home has."""
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        return len(instance.fetch_materializations(MANIFEST_KEY, limit=9).records)


def test_a_manifest_that_is_as_it_was_is_not_told_of(
    project: Project, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = project.home / ".dagster_home"
    home.mkdir()
    for _ in range(2):
        assert duomi(project.home, "manifest").returncode == 0

    assert manifests_told(home, monkeypatch) == 1


def test_a_manifest_that_dagster_could_not_be_told_of_is_told_of_by_the_next_command(
    project: Project, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = project.home / ".dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_text("event_log_storage: {module: nowhere, class: Nothing}\n")
    assert "Dagster's UI does not know of it: " in duomi(project.home, "manifest").stderr
    (home / "dagster.yaml").unlink()
    for _ in range(2):
        assert duomi(project.home, "manifest").returncode == 0

    assert manifests_told(home, monkeypatch) == 1


def test_a_manifest_of_a_command_has_what_image_runs_left_before_it_was_made(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = project.home / ".dagster_home"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        instance.report_runless_asset_event(dg.AssetObservation(MANIFEST_KEY))
        assert left_to_write(instance) is not None

        assert duomi(project.home, "manifest").returncode == 0
        assert left_to_write(instance) is None

        instance.report_runless_asset_event(dg.AssetObservation(MANIFEST_KEY))
        assert left_to_write(instance) is not None


def test_a_command_whose_dagster_cannot_be_told_has_done_its_work(project: Project, keys: list[str]) -> None:
    home = project.home / ".dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_text("event_log_storage: {module: nowhere, class: Nothing}\n")

    found = duomi(project.home, "gallery")

    assert found.returncode == 0
    assert "Dagster's UI does not know of it: " in found.stderr
    assert (project.home / "out/gallery/index.html").is_file()
