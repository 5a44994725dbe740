"""What Dagster loads: names that users rely on, settings, files beside the code."""

import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin
from dagster._core.workspace.load_target import PyProjectFileTarget, WorkspaceFileTarget

from duomi_pipeline import definitions
from duomi_pipeline.orchestration.assets.images_config import ImagesConfig
from duomi_pipeline.orchestration.build import build_defs
from duomi_pipeline.orchestration.resources import ImageStoreResource
from duomi_pipeline.settings import ImageParameters, ParameterOverrides, SettingsError
from duomi_pipeline_tests.orchestration.harness import LOCATION, Project

ROOT = Path(__file__).parents[2]


@pytest.fixture
def repository(tmp_path: Path) -> dg.RepositoryDefinition:
    return build_defs(tmp_path).get_repository_def()


class TestNames:
    def test_every_asset_of_the_interface_is_there(self, repository: dg.RepositoryDefinition) -> None:
        names = {key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()}

        assert names >= {"prompt_table", "prompt_files", "prompts", "generated_images", "results_manifest", "gallery"}

    def test_the_graph_leads_from_the_sources_to_the_manifest(self, repository: dg.RepositoryDefinition) -> None:
        graph = repository.asset_graph

        def parents(name: str) -> set[str]:
            return {key.to_user_string() for key in graph.get(dg.AssetKey(name)).parent_keys}

        assert parents("prompts") == {"prompt_table", "prompt_files"}
        assert parents("generated_images") == {"prompts"}
        assert parents("results_manifest") == {"generated_images"}
        assert graph.get(dg.AssetKey("prompts")).is_external

    def test_jobs_sensor_and_schedule_are_there_and_off(self, repository: dg.RepositoryDefinition) -> None:
        assert {"generate_missing_images", "regenerate_images"} <= set(repository.job_names)
        assert repository.get_sensor_def("new_prompts").default_status is dg.DefaultSensorStatus.STOPPED
        assert repository.get_schedule_def("catch_up").default_status is dg.DefaultScheduleStatus.STOPPED

    def test_resources_and_io_manager_have_their_keys(self, repository: dg.RepositoryDefinition) -> None:
        assert {"duomi", "image_store", "png_io_manager"} <= set(repository.get_top_level_resources())

    def test_the_image_store_is_the_folder_of_the_settings(self, project: Project) -> None:
        project.configure(image_dir="pictures")

        store = ImageStoreResource(home=str(project.home)).open()

        assert store.location("a.png") == str(project.home / "pictures/a.png")

    def test_images_have_a_partition_per_prompt_run_in_ranges_and_share_a_pool(
        self, repository: dg.RepositoryDefinition
    ) -> None:
        node = repository.asset_graph.get(dg.AssetKey("generated_images"))

        assert isinstance(node.partitions_def, dg.DynamicPartitionsDefinition)
        assert node.partitions_def.name == "prompt_id"
        assert node.partitions_def == repository.asset_graph.get(dg.AssetKey("prompts")).partitions_def
        assert node.backfill_policy is not None
        assert node.backfill_policy.max_partitions_per_run == 500
        assert node.pools == {"duomi_api"}

    def test_the_run_config_of_images_has_its_fields_and_each_is_described(
        self, repository: dg.RepositoryDefinition
    ) -> None:
        op = repository.get_job("regenerate_images").get_node_named("generated_images").definition
        assert isinstance(op, dg.OpDefinition)
        config = op.config_schema.as_field().config_type
        assert isinstance(config, dg.Shape)

        fields = config.fields
        assert set(fields) >= {
            "model",
            "image_size",
            "seed",
            "num_inference_steps",
            "guidance_scale",
            "negative_prompt",
            "force",
            "max_images",
        }
        assert all(field.description for field in fields.values())
        assert not any(field.is_required for field in fields.values())

    def test_everything_in_the_ui_has_a_description(self, repository: dg.RepositoryDefinition) -> None:
        graph = repository.asset_graph
        described = [graph.get(key).description for key in graph.get_all_asset_keys()]
        described += [repository.get_job(name).description for name in ("generate_missing_images", "regenerate_images")]
        described += [repository.get_sensor_def("new_prompts").description]
        described += [repository.get_schedule_def("catch_up").description]

        assert all(described)


class TestLoading:
    def test_it_loads_without_a_key_and_without_a_warning_and_writes_nothing(self, tmp_path: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            definitions = build_defs(tmp_path)
            dg.Definitions.validate_loadable(definitions)

        assert list(tmp_path.iterdir()) == []

    def test_a_new_process_loads_the_module_without_a_warning(self, tmp_path: Path) -> None:
        loaded = subprocess.run(
            [sys.executable, "-W", "error", "-c", "from duomi_pipeline.definitions import defs; print(defs.jobs)"],
            cwd=tmp_path,
            env=environment(DUOMI_HOME=str(tmp_path)),
            capture_output=True,
            text=True,
            check=False,
        )

        assert (loaded.returncode, loaded.stderr) == (0, "")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("how", [(), ("--workspace", "workspace.yaml")], ids=["pyproject.toml", "workspace.yaml"])
    def test_dagsters_own_gate_finds_the_code_and_needs_no_secret(self, tmp_path: Path, how: tuple[str, ...]) -> None:
        shutil.copyfile(ROOT / "dagster.yaml", tmp_path / "dagster.yaml")

        checked = subprocess.run(
            [sys.executable, "-m", "dagster", "definitions", "validate", *how],
            cwd=ROOT,
            env=environment(DAGSTER_HOME=str(tmp_path), DUOMI_HOME=str(tmp_path)),
            capture_output=True,
            text=True,
            check=False,
        )

        said = checked.stdout + checked.stderr
        assert checked.returncode == 0, said
        assert "Validation successful for code location duomi_pipeline" in said
        warned = [
            line for line in said.splitlines() if "Warning" in line and "definitions_validate_command" not in line
        ]
        assert warned == []

    def test_workspace_yaml_and_the_block_of_dg_load_the_same_definitions(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # With a [tool.dg] Dagster passes over workspace.yaml without a word: neither may say what the other does not.
        monkeypatch.chdir(ROOT)
        (by_file,) = WorkspaceFileTarget(["workspace.yaml"]).create_origins()
        (by_block,) = PyProjectFileTarget("pyproject.toml").create_origins()
        assert isinstance(by_file, ManagedGrpcPythonEnvCodeLocationOrigin)
        assert isinstance(by_block, ManagedGrpcPythonEnvCodeLocationOrigin)

        assert by_file.location_name == by_block.location_name == LOCATION
        loaded = [origin.loadable_target_origin for origin in (by_file, by_block)]
        assert [(target.module_name, target.attribute) for target in loaded] == 2 * [(definitions.__name__, None)]
        assert isinstance(definitions.defs, dg.Definitions)

    @pytest.mark.parametrize(
        ("setting", "value"),
        [
            ("IMAGE_SIZE", "large"),
            ("SEED", "-1"),
            ("MAX_CONCURRENCY", "0"),
            ("BASE_URL", "duomi"),
            ("PROTOCOL", "soap"),
        ],
    )
    def test_a_setting_that_cannot_be_used_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: str
    ) -> None:
        monkeypatch.setenv(f"DUOMI_{setting}", value)

        with pytest.raises(SettingsError, match=f"DUOMI_{setting}='{value}': "):
            build_defs(tmp_path)

    def test_the_ui_shows_which_setting_stops_the_code_location(self, project: Project) -> None:
        project.configure(image_size="large")

        with pytest.warns(UserWarning, match="Error loading repository location"), project.workspace() as workspace:
            entry = workspace.create_request_context().get_location_entry(LOCATION)

        assert entry is not None
        assert entry.load_error is not None
        assert "DUOMI_IMAGE_SIZE='large'" in str(entry.load_error)

    def test_the_command_line_starts_without_dagster(self, tmp_path: Path) -> None:
        program = (
            "import sys, json\n"
            "import duomi_pipeline.cli, duomi_pipeline.cli.plan, duomi_pipeline.cli.status, duomi_pipeline.cli.why\n"
            "print(json.dumps([name for name in sys.modules if name.split('.')[0] == 'dagster']))"
        )
        printed = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
        )

        assert json.loads(printed.stdout) == []


class TestDagsterYaml:
    @pytest.fixture
    def local(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dg.DagsterInstance:
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
        shutil.copyfile(ROOT / "dagster.yaml", tmp_path / "dagster.yaml")
        return dg.DagsterInstance.from_config(str(tmp_path))

    def test_one_image_run_at_a_time_and_a_cancelled_one_gives_its_slot_back(self, local: dg.DagsterInstance) -> None:
        with local:
            pools = local.get_concurrency_config().pool_config
            assert (pools.default_pool_limit, str(pools.pool_granularity)) == (1, "PoolGranularity.RUN")
            assert local.run_monitoring_enabled
            assert local.get_settings("run_monitoring")["free_slots_after_run_end_seconds"] == 30

    def test_dagster_tries_no_run_again_and_tells_nobody(self, local: dg.DagsterInstance) -> None:
        with local:
            assert not local.run_retries_enabled
            assert not local.telemetry_enabled
            assert not local.nux_enabled


def environment(**more: str) -> dict[str, str]:
    """The environment of a new process: no setting of the machine's, no key."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("DUOMI_", "DAGSTER_"))}
    return {**keep, **more}


def test_every_image_parameter_is_a_field_of_the_launchpad_and_of_a_prompts_own_json() -> None:
    assert set(ImageParameters.model_fields) <= set(ImagesConfig.model_fields)
    assert set(ImageParameters.model_fields) == set(ParameterOverrides.model_fields)
