"""What gives no row: rows of the table and files without a usable prompt, each with its name and the reason."""

import json
from collections.abc import Sequence
from pathlib import Path

from duomi_pipeline.prompts import Problem


def left_out_rows(problems: Sequence[Problem]) -> list[dict[str, str]]:
    """A row per problem: `origin` says where it stands, `reason` why it gives no prompt."""
    return [{"origin": problem.origin, "reason": problem.reason} for problem in problems]


def write_left_out(problems: Sequence[Problem], path: Path) -> None:
    """Write them as a JSON array, one a line; empty where nothing is left out."""
    lines = ",".join(f"\n{json.dumps(row, ensure_ascii=False)}" for row in left_out_rows(problems))
    path.write_text(f"[{lines}\n]\n", encoding="utf-8", newline="\n")
