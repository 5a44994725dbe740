"""The assets, each in its own file. They call code that does not need Dagster."""

import dagster as dg

GROUP = "duomi"  # one group: the UI shows the whole graph at a glance
OWNERS = ["team:duomi-pipeline"]


def column_schema(**columns: str | tuple[str, str]) -> dg.TableSchema:
    """Columns of an asset for its page in the UI: a description of each, with its type if that is not text."""
    described = {name: ("string", text) if isinstance(text, str) else text for name, text in columns.items()}
    return dg.TableSchema([dg.TableColumn(name, kind, description=text) for name, (kind, text) in described.items()])
