"""The asset checks of prompts, pictures and manifest. They warn, cost nothing, and never stop a run.

The rules are in `maintenance.quality` and `maintenance.reconcile`. A broken new picture fails its prompt instead.
"""

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import dagster as dg

from duomi_pipeline.engine import Plan, Session
from duomi_pipeline.engine.session import manifest_place
from duomi_pipeline.ledger import Look
from duomi_pipeline.maintenance.quality import Flag, damaged, look_at_unseen, picture_flags, prompt_flags
from duomi_pipeline.maintenance.reconcile import survey
from duomi_pipeline.orchestration.assets.results_manifest import MANIFEST_KEY
from duomi_pipeline.orchestration.partition_ranges import IMAGES_KEY
from duomi_pipeline.orchestration.partition_sync import PROMPTS_KEY
from duomi_pipeline.orchestration.resources import DuomiResource

NEWEST = 500  # newest pictures per evaluation whose checksum is verified, and that are decoded if they never were
_MAX_ROWS = 200


def _spec(name: str, description: str) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(name, asset=IMAGES_KEY, description=description)


@dg.multi_asset_check(
    name="picture_checks",
    can_subset=True,
    specs=[
        _spec(
            "pictures_whole",
            "Every current picture is on disk as it was written and of the delivery size; the checksums of the "
            f"{NEWEST} newest fit.",
        ),
        _spec("pictures_not_blank", "No current picture is almost of one tone."),
        _spec("no_picture_twice", "No two prompts that asked for different pictures have the same one."),
        _spec("nothing_orphaned", "Every picture of ours in the folder is in the ledger, and the other way round."),
    ],
)
def picture_checks(context: dg.AssetCheckExecutionContext, duomi: DuomiResource) -> Iterator[dg.AssetCheckResult]:
    """Read ledger and folder once for all four checks."""
    selected = {key.name for key in context.selected_asset_check_keys}
    with duomi.session() as session:
        prompts = duomi.registered(session, context.instance).prompts
        unseen = look_at_unseen(session, session.plan(prompts), NEWEST)
        plan = session.plan(prompts)
        flags = picture_flags(session, plan)
        if "pictures_whole" in selected:
            found = {**_of_kinds(flags, "broken", "size"), **_damaged(session, plan)}
            yield _result("pictures_whole", found, "duomi generate generates missing pictures again")
        if "pictures_not_blank" in selected:
            blank = _of_kinds(flags, "blank")
            yield _result("pictures_not_blank", blank, "look at them, and reject them in the gallery", unseen)
        if "no_picture_twice" in selected:
            twice = _of_kinds(flags, "twin")
            yield _result("no_picture_twice", twice, "look at them, and reject them in the gallery", unseen)
        if "nothing_orphaned" in selected:
            yield _result("nothing_orphaned", _orphans(session), "duomi doctor --repair")


@dg.asset_check(
    asset=PROMPTS_KEY,
    name="prompts_healthy",
    description="No prompt holds what its model ignores or misreads: too long, Markdown, a preamble, an embedded "
    "negative prompt, another language. `duomi lint` says the same.",
)
def prompts_healthy(context: dg.AssetCheckExecutionContext, duomi: DuomiResource) -> dg.AssetCheckResult:
    """Lint every prompt as it would be sent."""
    with duomi.session() as session:
        plan = session.plan(duomi.registered(session, context.instance).prompts)
    found = {entry.prompt.id: " ".join(flag.text for flag in prompt_flags(entry)) for entry in plan.entries}
    unhealthy = {prompt_id: text for prompt_id, text in found.items() if text}
    return _result("prompts_healthy", unhealthy, "duomi lint --diff shows what DUOMI_CLEAN_PROMPTS=1 would send")


@dg.asset_check(
    asset=PROMPTS_KEY,
    name="sources_seen",
    description="The last look at each source of prompts could read it and believed it: when, by which machine, and "
    "what it found. Runs take prompts from the register, which is as new as these looks.",
)
def sources_seen(duomi: DuomiResource) -> dg.AssetCheckResult:
    """Read the last looks from the register."""
    with duomi.session() as session:
        looks = session.ledger.register.last_looks()
    found = {f"{look.source.value}: {look.place}": look.problem for look in looks.values() if look.problem}
    if not looks:
        found = {"sources": "nobody has looked yet"}
    result = _result(
        "sources_seen", found, "materialize prompt_table and prompt_files, or start the sensor new_prompts"
    )
    return result._replace(metadata={**result.metadata, "looks": _looks_table(looks.values())})


def _looks_table(looks: Iterable[Look]) -> dg.TableMetadataValue:
    rows = [
        dg.TableRecord(
            {
                "source": look.source.value,
                "looked_at": datetime.fromtimestamp(look.looked_at, UTC).isoformat(timespec="seconds"),
                "host": look.host,
                "place": look.place,
                "prompts": look.prompts,
                "left_out": look.left_out,
                "problem": look.problem or "",
            }
        )
        for look in looks
    ]
    names = ("source", "looked_at", "host", "place", "prompts", "left_out", "problem")
    return dg.MetadataValue.table(rows, dg.TableSchema([dg.TableColumn(name) for name in names]))


@dg.asset_check(
    asset=MANIFEST_KEY,
    name="manifest_complete",
    description="The manifest has exactly one row for every prompt, in the state in which it is now.",
)
def manifest_complete(context: dg.AssetCheckExecutionContext, duomi: DuomiResource) -> dg.AssetCheckResult:
    """Compare the manifest with a new plan."""
    with duomi.session() as session:
        path = manifest_place(session.settings) / "results.parquet"
        states = {
            entry.prompt.id: entry.state.value
            for entry in session.plan(duomi.registered(session, context.instance).prompts).entries
        }
    if not path.is_file():
        return _result("manifest_complete", {"results.parquet": "there is no such file"}, "duomi manifest")
    import pyarrow.parquet as pq  # noqa: PLC0415 - image runs load this module and must not have its 40 MB

    table = pq.read_table(io.BytesIO(path.read_bytes()), columns=["prompt_id", "state"]).to_pydict()
    written = dict(zip(table["prompt_id"], table["state"], strict=True))
    found = {key: "has several rows" for key, rows in Counter(table["prompt_id"]).items() if rows > 1}
    found |= dict.fromkeys(states.keys() - written.keys(), "has no row")
    found |= dict.fromkeys(written.keys() - states.keys(), "has a row, but there is no such prompt")
    differing = {key for key in states.keys() & written.keys() if states[key] != written[key]}
    found |= {key: f"is {states[key]} by now, written as {written[key]}" for key in differing}
    return _result("manifest_complete", found, "duomi manifest")


def _of_kinds(flags: Mapping[str, Sequence[Flag]], *kinds: str) -> dict[str, str]:
    found = {key: " ".join(flag.text for flag in some if flag.kind in kinds) for key, some in flags.items()}
    return {key: text for key, text in found.items() if text}


def _damaged(session: Session, plan: Plan) -> dict[str, str]:
    files = [file for entry in plan.entries if entry.selection for file in entry.selection.files]
    newest = sorted(files, key=lambda file: -file.saved_at)[:NEWEST]
    return {file.prompt_id: why for file, why in damaged(session, newest)}


def _orphans(session: Session) -> dict[str, str]:
    found = survey(session)
    unrecorded = {name: "is not in the ledger" for name, _ in found.unrecorded}
    return unrecorded | {file.file: f"of {file.prompt_id} is recorded, but gone or changed" for file in found.gone}


def _result(name: str, found: Mapping[str, str], advice: str, unseen: int = 0) -> dg.AssetCheckResult:
    rows = [dg.TableRecord({"what": key, "why": found[key]}) for key in sorted(found)[:_MAX_ROWS]]
    metadata: dict[str, dg.MetadataValue] = {"found": dg.MetadataValue.int(len(found))}
    if rows:
        schema = dg.TableSchema([dg.TableColumn("what"), dg.TableColumn("why")])
        metadata |= {
            "list": dg.MetadataValue.table(rows, schema),
            "what_to_do": dg.MetadataValue.text(advice),
        }
    if unseen:
        metadata["not_looked_at_yet"] = dg.MetadataValue.int(unseen)
    return dg.AssetCheckResult(
        passed=not found, check_name=name, severity=dg.AssetCheckSeverity.WARN, metadata=metadata
    )
