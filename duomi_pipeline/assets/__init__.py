"""The assets: thin, each in its own file. What they call can be tested without Dagster."""

GROUP = "duomi"  # one group: the UI shows the whole graph at a glance
