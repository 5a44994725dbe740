"""`DuomiImageGenerator`: the guide's class, a thin face of the same engine, store and ledger. No Dagster.

What a script buys, command line and UI know of, and the other way round. How a run goes is `engine.direct`'s.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from upath import UPath

from duomi_pipeline.api.batches import failed_result, not_a_prompt, run_prompts, write_results_log
from duomi_pipeline.engine import Session
from duomi_pipeline.engine.session import open_store
from duomi_pipeline.images import StoreError
from duomi_pipeline.images.copies import save_copies
from duomi_pipeline.images.png_chunks import BrokenPngError
from duomi_pipeline.ledger import LedgerError
from duomi_pipeline.prompts import Prompt, Reading, SourceError
from duomi_pipeline.prompts.parameters import checked_parameters
from duomi_pipeline.prompts.prompt import safe_prefix
from duomi_pipeline.prompts.single_prompts import save_single_prompt
from duomi_pipeline.prompts.sources import read_files, read_table
from duomi_pipeline.prompts.table import Row, fetch_rows
from duomi_pipeline.settings import ParameterOverrides, Settings

_LOGGER = logging.getLogger("duomi_pipeline")


class DuomiImageGenerator:
    """Turns prompts into pictures, each paid once: what is there already is given back at no cost.

    A prompt that fails never raises: its result says why. Results have `success`, `data`, `prompt`, `timestamp`,
    `source` (`database`, `json`, `single_prompt`), `saved_path` or `error`; also `prompt_id`.

    Args:
        api_key: of the service. `None`: as the settings say, and where they have none, the built-in sandbox answers.

    Attributes:
        default_params: what pictures are asked with: the settings' values at first. Changes hold for later calls of
            this object; a prompt's own JSON wins over them.

    Raises:
        SettingsError: a setting has a value that cannot be used.
    """

    def __init__(self, api_key: str | None = None) -> None:
        self._api_key = SecretStr(api_key) if api_key else None
        self._settings = Settings.load(api_key=self._api_key)
        self.default_params: dict[str, Any] = self._settings.parameters.model_dump()

    def generate_image(self, prompt: str, **params: Any) -> dict[str, Any]:
        """The picture of a text. It is kept as a JSON prompt file; the same call again is the same prompt.

        Args:
            prompt: what to draw.
            params: `model`, `image_size`, `negative_prompt`, `batch_size`, `num_inference_steps`, `guidance_scale`,
                `seed`; kept with the prompt.

        Raises:
            ValueError: no such parameter, or a value out of range; nothing was sent.
            KeyboardInterrupt: after Ctrl-C; what was in flight has been finished and recorded.
        """
        said, settings = self._parameters(params), self._load()
        try:
            kept = save_single_prompt(settings, prompt, said)
        except (ValueError, OSError, SourceError) as error:
            reason = f"The prompt cannot be kept in {settings.prompt_dir}: {error}"
            return not_a_prompt(prompt, "single_prompt", reason)
        return self._bring(settings, [kept], ParameterOverrides())[0]

    def save_generated_image(self, result: Mapping[str, Any], filename_prefix: str) -> str | None:
        """A copy of a result's picture under another name, `{filename_prefix}_{timestamp}.png`; never overwrites.

        The picture itself is saved already and stays: `result["saved_path"]`. The copy is the caller's alone.

        Returns:
            Where the copy (of several: the first) lies; `None` where there is no picture or it cannot be copied,
            which is logged.
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

        Rows without a usable prompt are left out, and logged.

        Args:
            limit: at most so many.

        Raises:
            SourceError: the database cannot be read.
        """
        rows, reading = _table(self._load())
        by_origin = {f"prompts.id={row[0]}": row for row in reversed(rows)}  # of rows with one id the first counts
        return [_row_of(prompt, by_origin[prompt.origin]) for prompt in _first(reading, limit)]

    def get_prompts_from_json_files(self, json_dir: str | Path | None = None) -> list[dict[str, Any]]:
        """The prompts of a folder's JSON files by name, each with `id`, `prompt`, `filename`, `source`.

        Files that give no prompt are left out, and logged.

        Args:
            json_dir: the folder; `None`: `DUOMI_PROMPT_DIR`.

        Raises:
            SourceError: the folder cannot be read. One that is not there holds no files.
        """
        return [_file_of(prompt) for prompt in _files(self._load(prompt_dir=json_dir)).prompts]

    def batch_generate_from_database(self, limit: int | None = None, delay: float = 0.0) -> list[dict[str, Any]]:
        """The pictures of the table's first prompts: a result for each of them, in order.

        What every prompt would meet (key, balance, a cap, a full disk) ends the batch: those it did not reach say so.

        Args:
            limit: at most so many prompts.
            delay: seconds between two starts of requests; 0: `DUOMI_DELAY`.

        Raises:
            SourceError: the database cannot be read.
            ValueError: a value of `default_params` or an argument cannot be used; nothing was sent.
        """
        settings = self._load(delay=delay or None)
        reading = _table(settings)[1]
        return self._bring(settings, _first(reading, limit), self._parameters({}), len(reading.problems))

    def batch_generate_from_json(self, json_dir: str | Path | None = None, delay: float = 0.0) -> list[dict[str, Any]]:
        """The pictures of a folder's JSON files: a result for each of them, in order of their names.

        Args:
            json_dir: the folder; `None`: `DUOMI_PROMPT_DIR`.
            delay: seconds between two starts of requests; 0: `DUOMI_DELAY`.

        Raises:
            SourceError, ValueError: as `batch_generate_from_database`.
        """
        settings = self._load(prompt_dir=json_dir, delay=delay or None)
        reading = _files(settings)
        return self._bring(settings, reading.prompts, self._parameters({}), len(reading.problems))

    def save_results_log(self, results: Sequence[Mapping[str, Any]], output_file: str | Path | None = None) -> str:
        """Write results as JSON, whole or not at all, and say where they are.

        Batches keep their own already, with a receipt, in `DUOMI_LOG_DIR`; this is for results put together.

        Args:
            results: of any calls.
            output_file: replaced if it is there. `None`: a new `duomi_generation_results_{timestamp}.json` in
                `DUOMI_LOG_DIR`.

        Raises:
            StoreError, OSError: it cannot be written.
        """
        return str(write_results_log(self._load(), results, output_file))

    def _load(self, **changes: Any) -> Settings:
        """The settings as they are now, with this object's key."""
        return Settings.load(self._settings.home, api_key=self._api_key, **changes)

    def _parameters(self, params: Mapping[str, Any]) -> ParameterOverrides:
        """What is said here: a call's parameters, and the defaults that are no longer the settings'."""
        before = self._settings.parameters.model_dump()
        changed = {name: value for name, value in self.default_params.items() if value != before.get(name)}
        return checked_parameters(dict(params)).over(checked_parameters(changed))

    def _bring(
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
        rows = fetch_rows(settings.path(settings.database))
        reading = read_table(settings, rows)
    except SourceError as error:
        raise SourceError(f"Failed to retrieve prompts from database: {error}") from error
    return rows, _logged(reading)


def _files(settings: Settings) -> Reading:
    return _logged(read_files(settings))


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
