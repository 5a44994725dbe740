"""Everything Dagster: assets, sensors, jobs, checks, event log, instance. Thin: what is done is the engine's."""
