"""The failure of a run with missing pictures: which prompts failed, why, and what to do next."""

from collections.abc import Sequence

import dagster as dg

from duomi_pipeline.common.text import counted
from duomi_pipeline.reporting.receipt import FailedPrompt, Receipt

_NAMED = 20  # failures in the text; the metadata table has more
_MAX_ROWS = 500
_COLUMNS = ("prompt_id", "class", "code", "reason")


def failure(receipt: Receipt) -> dg.Failure | None:
    """The failure of a run, `None` if every picture exists."""
    failures = receipt.failures
    if not failures and not receipt.not_reached:
        return None
    good = receipt.generated + receipt.reused
    there = f"{counted(good, 'picture')} {'is' if good == 1 else 'are'} there"
    lines = [f"{there}, {len(failures)} failed, {receipt.not_reached} were not reached."]
    if receipt.message:
        lines.append(f"{receipt.message} {receipt.advice}".strip())
    lines += [f"- {failed}" for failed in failures[:_NAMED]]
    if len(failures) > _NAMED:
        lines.append(f"… and {len(failures) - _NAMED} more: see the table `failures`.")
    metadata = {
        "failed": dg.MetadataValue.int(len(failures)),
        "not_reached": dg.MetadataValue.int(receipt.not_reached),
        "failures": failures_table(failures),
    }
    # The engine retries by error class; retries of Dagster on top would multiply the cost.
    return dg.Failure("\n".join(lines), metadata=metadata, allow_retries=False)


def failures_table(failures: Sequence[FailedPrompt]) -> dg.TableMetadataValue:
    """Failures as a table for Dagster's UI, at most `_MAX_ROWS`."""
    rows = [
        dg.TableRecord(dict(zip(_COLUMNS, (f.prompt_id, f.error_class, f.code, f.message), strict=True)))
        for f in failures[:_MAX_ROWS]
    ]
    return dg.MetadataValue.table(rows, dg.TableSchema([dg.TableColumn(name) for name in _COLUMNS]))
