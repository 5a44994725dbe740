"""`duomi why`."""

from typing import Any

import click

from duomi_pipeline.cli.console import STATE_WORDS, json_option, moment, print_json
from duomi_pipeline.common.text import safe
from duomi_pipeline.engine import PlannedPrompt, Session
from duomi_pipeline.prompts import read_sources
from duomi_pipeline.prompts.overrides import read_overrides
from duomi_pipeline.settings import ParameterOverrides, Settings

_ONLY_WHERE_TAKEN = {"seed", "num_inference_steps", "guidance_scale", "negative_prompt"}


@click.command()
@click.argument("prompt_id", metavar="ID")
@json_option
def why(prompt_id: str, as_json: bool) -> None:
    """What a prompt's picture was made from, and why it is in its state.

    ID is the partition key: db_12 for a table row, json_… for a file (see `duomi plan --json`).
    """
    settings = Settings.load()
    sources = read_sources(settings)
    with Session(settings) as session:
        entry = session.plan([prompt for prompt in sources.prompts if prompt.id == prompt_id]).by_id.get(prompt_id)
        if entry is None and not session.ledger.pictures_of(prompt_id):
            raise click.UsageError(f"There is no prompt {prompt_id}. `duomi plan --json` lists all ids.")
        story = _story(session, prompt_id, entry)
    if as_json:
        print_json(story)
        return
    for name, value in _lines(story, entry):
        click.echo(f"{name + ':':<12} {safe(value)}")


def _story(session: Session, prompt_id: str, entry: PlannedPrompt | None) -> dict[str, Any]:
    """Everything known of a prompt: what would be asked now, its pictures, and every chain of its request."""
    pictures = session.ledger.pictures_of(prompt_id)
    chains = session.ledger.chains([entry.request.key]) if entry else []
    posts = session.ledger.posts_of([chain.id for chain in chains])
    current = entry.selection if entry else None
    return {
        "prompt_id": prompt_id,
        "state": entry.state.value if entry else "retired",
        "origin": entry.prompt.origin if entry else None,
        "request": entry.request.content if entry else None,
        "overrides": entry.prompt.overrides.explicit() if entry else {},
        "values": _values(session.settings, entry) if entry else {},
        "made_with": _made_with(session, entry) if entry else {},
        "interrupted_purchase": entry.resumes if entry else False,
        "current": [session.store.location(file.file) for file in current.files] if current else [],
        "pictures": [
            {"file": session.store.location(p.file), "how": p.origin, "saved_at": p.saved_at, "size": p.size}
            for p in pictures
        ],
        "kept_answers": [
            {"file": str(session.kept.path(one)), "reason": one.reason, "bytes": one.bytes, "kept_at": one.kept_at}
            for one in (session.kept.of(entry.request.key) if entry else [])
        ],
        "purchases": [
            {
                "state": chain.state,
                "created_at": chain.created_at,
                "task_id": chain.task_id,
                "service": chain.service,
                "error": chain.error_message,
                "error_class": chain.error_class,
                "posts": [
                    {"sent_at": p.sent_at, "billing": p.billing, "price": p.price, "currency": p.currency}
                    for p in posts.get(chain.id, [])
                ],
            }
            for chain in chains
        ],
    }


def _values(settings: Settings, entry: PlannedPrompt) -> dict[str, dict[str, Any]]:
    """What is not as the settings say, and who says it: see "Which value wins" in `docs/operations.md`."""
    overrides = read_overrides(settings.path(settings.overrides_file)).by_id
    recorded = overrides.get(entry.prompt.id, ParameterOverrides()).explicit()
    own, body, below = entry.prompt.overrides.explicit(), entry.request.body, settings.parameters.model_dump()
    values = {
        name: {"value": value, "from": "recorded override" if name in recorded else "the prompt's JSON"}
        for name, value in own.items()
        if value != below[name]
    }
    negative = body.get("negative_prompt", "")
    if "negative_prompt" in body and negative != own.get("negative_prompt", below["negative_prompt"]):
        values["negative_prompt"] = {"value": negative, "from": "the prompt's text, cleaned"}
    for name, said in values.items():
        said |= {"settings": below[name], "sent": name in body or name not in _ONLY_WHERE_TAKEN}
    return values


def _made_with(session: Session, entry: PlannedPrompt) -> dict[str, dict[str, Any]]:
    """How the request of the current picture differs from what would be asked now."""
    if entry.selection is None or entry.selection.request_key == entry.request.key:
        return {}
    made, now = session.ledger.purchase(entry.selection.purchase_id).content, entry.request.content
    then, would = ({**content, **content["body"]} for content in (made, now))
    names = [name for name in {**then, **would} if name != "body" and then.get(name) != would.get(name)]
    return {name: {"then": then.get(name), "now": would.get(name)} for name in names}


def _lines(story: dict[str, Any], entry: PlannedPrompt | None) -> list[tuple[str, str]]:
    words = STATE_WORDS[entry.state] if entry else "its row or file is gone; its pictures stay"
    lines = [
        ("Prompt", f"{story['prompt_id']} from {story['origin']}"),
        ("State", f"{story['state']}: {words}"),
    ]
    if entry:
        body = entry.request.body
        asked = ", ".join(f"{name}={value}" for name, value in body.items() if name != "prompt")
        sent = entry.request.prompt
        lines += [
            ("Text", entry.prompt.text),
            *([("Sent", sent)] if sent != entry.prompt.text else []),
            ("Asked with", f"{asked} (service: {entry.request.host_kind})"),
        ]
    for name, said in story["values"].items():
        unsent = "" if said["sent"] else "; not sent: the model takes none"
        settings = f"the settings say {_shown(said['settings'])}"
        lines.append(("Its own", f"{name}={_shown(said['value'])} from {said['from']}; {settings}{unsent}"))
    for name, was in story["made_with"].items():
        lines.append(("Made with", f"{name}={_shown(was['then'])}; would now be {_shown(was['now'])}"))
    current = set(story["current"])
    for picture in story["pictures"]:
        mark = " ← current" if picture["file"] in current else ""
        lines.append(("Picture", f"{picture['file']} ({picture['how']} {moment(picture['saved_at'])}){mark}"))
    for kept in story["kept_answers"]:
        lines.append(("Kept", f"{kept['file']} ({moment(kept['kept_at'])}): {kept['reason']}"))
    for chain in story["purchases"]:
        billing = ", ".join(post["billing"] for post in chain["posts"]) or "nothing sent"
        error = f", {chain['error']}" if chain["error_class"] else ""
        lines.append(("Purchase", f"{moment(chain['created_at'])} {chain['state']}; requests: {billing}{error}"))
    return lines


def _shown(value: Any) -> str:
    return "(not sent)" if value is None else str(value) or "(empty)"
