"""The Python API for scripts: the guide's class, and runs in the caller's own thread. No Dagster."""
