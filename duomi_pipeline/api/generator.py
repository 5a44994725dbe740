"""`DuomiImageGenerator`: the guide's class, on the same engine, folder of pictures and ledger. No Dagster.

Command line and UI see what a script bought, and the other way round. The run itself is in `batches`.
"""

import contextlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from upath import UPath

from duomi_pipeline.api.batches import failed_result, not_a_prompt, run_prompts, write_results_log
from duomi_pipeline.engine import Session
from duomi_pipeline.engine.prompt_ids import with_known_ids
from duomi_pipeline.engine.session import open_store
from duomi_pipeline.images import StoreError
from duomi_pipeline.images.copies import save_copies
from duomi_pipeline.images.png_chunks import BrokenPngError
from duomi_pipeline.ledger import LedgerError
from duomi_pipeline.prompts import Prompt, Reading, SourceError
from duomi_pipeline.prompts.parameters import checked_parameters
from duomi_pipeline.prompts.prompt import safe_prefix
from duomi_pipeline.prompts.single_prompts import save_single_prompt
from duomi_pipeline.prompts.sources import Sources, read_files, read_table, rows_of_table, shown_folder
from duomi_pipeline.prompts.sqlite_file import Row
from duomi_pipeline.settings import ParameterOverrides, Settings

_LOGGER = logging.getLogger("duomi_pipeline")


class DuomiImageGenerator:
    """Turns prompts into pictures, each paid once: an existing picture is returned at no cost.

    A failed prompt does not raise: its result says why. Results have `success`, `data`, `prompt`, `timestamp`,
    `source` (`database`, `json`, `single_prompt`), `saved_path` or `error`; also `prompt_id`.

    Args:
        api_key: key of the service. `None`: the key in the settings; without one, the built-in sandbox is used.

    Attributes:
        default_params: the parameters of requests, at first those of the settings. Changes apply to later calls of
            this object; a prompt's own JSON overrides them.

    Raises:
        SettingsError: a setting has an invalid value.
    """

    def __init__(self, api_key: str | None = None) -> None:
        self._api_key = SecretStr(api_key) if api_key else None
        self._settings = Settings.load(api_key=self._api_key)
        self.default_params: dict[str, Any] = self._settings.parameters.model_dump()

    def generate_image(self, prompt: str, **params: Any) -> dict[str, Any]:
        """Generate the picture of a text. The prompt is saved as a JSON file; the same call again is the same prompt.

        Args:
            prompt: what to draw.
            params: `model`, `image_size`, `negative_prompt`, `batch_size`, `num_inference_steps`, `guidance_scale`,
                `seed`; saved with the prompt.

        Raises:
            ValueError: an unknown parameter, or a value out of range; nothing was sent.
            KeyboardInterrupt: after Ctrl-C; requests in flight have been finished and recorded.
        """
        parameters, settings = self._parameters(params), self._load()
        try:
            kept = save_single_prompt(settings, prompt, parameters)
        except (ValueError, OSError, SourceError) as error:
            reason = f"The prompt cannot be kept in {shown_folder(settings)}: {error}"
            return not_a_prompt(prompt, "single_prompt", reason)
        return self._run(settings, [kept], ParameterOverrides())[0]

    def save_generated_image(self, result: Mapping[str, Any], filename_prefix: str) -> str | None:
        """Copy a result's picture to `{filename_prefix}_{timestamp}.png`; never overwrites a file.

        The picture itself is saved already (`result["saved_path"]`) and stays there.

        Returns:
            The path of the (first) copy; `None` if there is no picture or it cannot be copied, which is logged.
        """
        if not result.get("success"):
            return None
        store = open_store(self._load())
        images = (result.get("data") or {}).get("images") or [{"path": result["saved_path"]}]
        try:
            names = save_copies(store, [UPath(image["path"]) for image in images], safe_prefix(filename_prefix))
        except (OSError, StoreError, BrokenPngError) as error:
            _LOGGER.warning("No copy of %s: %s", result.get("saved_path"), error)
            return None
        return store.location(names[0])

    def get_prompts_from_database(self, limit: int | None = None) -> list[dict[str, Any]]:
        """The table's prompts by id, each with `id`, `image_id`, `prompt`, `original_filename`, `descriptive_name`.

        Rows without a usable prompt are skipped, and logged.

        Args:
            limit: most prompts to return.

        Raises:
            SourceError: the database cannot be read.
        """
        rows, reading = _table(self._load())
        by_origin = {f"prompts.id={row[0]}": row for row in reversed(rows)}  # of rows with one id the first counts
        return [_row_of(prompt, by_origin[prompt.origin]) for prompt in _first(reading, limit)]

    def get_prompts_from_json_files(self, json_dir: str | Path | None = None) -> list[dict[str, Any]]:
        """The prompts of a folder's JSON files by name, each with `id`, `prompt`, `filename`, `source`.

        Files without a usable prompt are skipped, and logged.

        Args:
            json_dir: the folder; `None`: `DUOMI_PROMPT_DIR`.

        Raises:
            SourceError: the folder cannot be read. A missing folder counts as empty.
        """
        return [_file_of(prompt) for prompt in _files(self._load(prompt_dir=json_dir)).prompts]

    def batch_generate_from_database(self, limit: int | None = None, delay: float = 0.0) -> list[dict[str, Any]]:
        """Generate the pictures of the table's first prompts; one result per prompt, in order.

        An error that concerns all prompts (key, balance, a cap, a full disk) ends the batch; the results of the
        remaining prompts say so.

        Args:
            limit: most prompts to generate.
            delay: seconds between two starts of requests; 0: `DUOMI_DELAY`.

        Raises:
            SourceError: the database cannot be read.
            ValueError: a value of `default_params` or an argument is invalid; nothing was sent.
        """
        settings = self._load(delay=delay or None)
        reading = _table(settings)[1]
        return self._run(settings, _first(reading, limit), self._parameters({}), len(reading.problems))

    def batch_generate_from_json(self, json_dir: str | Path | None = None, delay: float = 0.0) -> list[dict[str, Any]]:
        """Generate the pictures of a folder's JSON files; one result per file, in order of their names.

        Args:
            json_dir: the folder; `None`: `DUOMI_PROMPT_DIR`.
            delay: seconds between two starts of requests; 0: `DUOMI_DELAY`.

        Raises:
            SourceError, ValueError: as `batch_generate_from_database`.
        """
        settings = self._load(prompt_dir=json_dir, delay=delay or None)
        reading = _files(settings)
        return self._run(settings, reading.prompts, self._parameters({}), len(reading.problems))

    def save_results_log(self, results: Sequence[Mapping[str, Any]], output_file: str | Path | None = None) -> str:
        """Write results as JSON, whole or not at all. Returns the path of the file.

        Batches write their own results and a receipt to `DUOMI_LOG_DIR` already; this is for collected results.

        Args:
            results: results of any calls.
            output_file: the file; an existing one is replaced. `None`: a new
                `duomi_generation_results_{timestamp}.json` in `DUOMI_LOG_DIR`.

        Raises:
            StoreError, OSError: it cannot be written.
        """
        return str(write_results_log(self._load(), results, output_file))

    def _load(self, **changes: Any) -> Settings:
        """The settings as they are now, with this object's key."""
        return Settings.load(self._settings.home, api_key=self._api_key, **changes)

    def _parameters(self, params: Mapping[str, Any]) -> ParameterOverrides:
        """The parameters that this object sets: those of a call, and changed ones of `default_params`."""
        before = self._settings.parameters.model_dump()
        changed = {name: value for name, value in self.default_params.items() if value != before.get(name)}
        return checked_parameters(dict(params)).over(checked_parameters(changed))

    def _run(
        self, settings: Settings, prompts: Sequence[Prompt], parameters: ParameterOverrides, left_out: int = 0
    ) -> list[dict[str, Any]]:
        try:
            session = Session(settings, "python")
        except LedgerError as error:
            return [failed_result(prompt, str(error)) for prompt in prompts]
        with session:
            return run_prompts(session, prompts, parameters, left_out)


def _table(settings: Settings) -> tuple[list[Row], Reading]:
    try:
        rows = [*rows_of_table(settings)]
        reading = read_table(settings, rows)
    except SourceError as error:
        raise SourceError(f"Failed to retrieve prompts from database: {error}") from error
    return rows, _logged(reading)


def _files(settings: Settings) -> Reading:
    found = Sources(Reading(), read_files(settings), {})
    with contextlib.suppress(LedgerError), Session(settings, "python") as session:  # a run without a ledger says so
        found = with_known_ids(found, session.ledger, settings)
    return _logged(found.files)


def _logged(reading: Reading) -> Reading:
    for problem in reading.problems:
        _LOGGER.warning("Left out: %s", problem)
    return reading


def _first(reading: Reading, limit: int | None) -> Sequence[Prompt]:
    if limit is not None and limit < 0:
        raise ValueError(f"limit={limit}: 0 or more, or None for all")
    return reading.prompts[:limit]


def _row_of(prompt: Prompt, row: Row) -> dict[str, Any]:
    row_id, image_id, _, original_filename, descriptive_name = row
    return {
        "id": row_id,
        "image_id": image_id,
        "prompt": prompt.text,
        "original_filename": original_filename,
        "descriptive_name": descriptive_name,
        "source": prompt.source,
        "prompt_id": prompt.id,
    }


def _file_of(prompt: Prompt) -> dict[str, Any]:
    stem = prompt.origin.rpartition(".")[0]
    return {
        "id": stem,
        "prompt": prompt.text,
        "filename": prompt.origin,
        "source": prompt.source,
        "prompt_id": prompt.id,
    }
