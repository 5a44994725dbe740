"""The assets: thin, each in its own file. What they call can be tested without Dagster."""

import dagster as dg

GROUP = "duomi"  # one group: the UI shows the whole graph at a glance
OWNERS = ["team:duomi-pipeline"]


def column_schema(**columns: str | tuple[str, str]) -> dg.TableSchema:
    """Columns of an asset for its page in the UI: what each holds, and its type where that is not text."""
    said = {name: ("string", text) if isinstance(text, str) else text for name, text in columns.items()}
    return dg.TableSchema([dg.TableColumn(name, kind, description=text) for name, (kind, text) in said.items()])
