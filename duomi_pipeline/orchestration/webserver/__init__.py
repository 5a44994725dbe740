"""Dagster's UI as `duomi dev` serves it: a guard in front, and the processes beside it."""
