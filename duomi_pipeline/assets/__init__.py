"""The assets: thin, each in its own file. What they call can be tested without Dagster."""
