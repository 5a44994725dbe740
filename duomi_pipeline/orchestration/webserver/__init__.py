"""Dagster's UI as `duomi dev` serves it: a guard for requests, and the processes that the UI needs."""
