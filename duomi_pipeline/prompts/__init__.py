"""Prompts and their two sources: the SQLite table and the folder of JSON files. No Dagster, no HTTP."""

from duomi_pipeline.prompts.prompt import Problem, Prompt, Reading, SourceError
from duomi_pipeline.prompts.sources import read_sources, write_single_prompt

__all__ = ["Problem", "Prompt", "Reading", "SourceError", "read_sources", "write_single_prompt"]
