"""Everything that uses Dagster: assets, sensors, jobs, checks, event log, instance. The work itself is in `engine`."""
