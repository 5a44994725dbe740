"""`duomi why`."""

from typing import Any

import click

from duomi_pipeline.cli.console import STATE_WORDS, json_option, moment, print_json
from duomi_pipeline.engine import PlannedPrompt, Session
from duomi_pipeline.prompts import read_sources
from duomi_pipeline.settings import Settings


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
        click.echo(f"{name + ':':<12} {value}")


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
        "overrides": entry.prompt.overrides.said() if entry else {},
        "interrupted_purchase": entry.resumes if entry else False,
        "current": [session.store.location(file.file) for file in current.files] if current else [],
        "pictures": [
            {"file": session.store.location(p.file), "how": p.origin, "saved_at": p.saved_at, "size": p.size}
            for p in pictures
        ],
        "purchases": [
            {
                "state": chain.state,
                "created_at": chain.created_at,
                "task_id": chain.task_id,
                "error": chain.error_message,
                "error_class": chain.error_class,
                "posts": [
                    {"sent_at": p.sent_at, "billing": p.billing, "price": p.price} for p in posts.get(chain.id, [])
                ],
            }
            for chain in chains
        ],
    }


def _lines(story: dict[str, Any], entry: PlannedPrompt | None) -> list[tuple[str, str]]:
    words = STATE_WORDS[entry.state] if entry else "its row or file is gone; its pictures stay"
    lines = [
        ("Prompt", f"{story['prompt_id']} from {story['origin']}"),
        ("State", f"{story['state']}: {words}"),
    ]
    if entry:
        body = entry.request.body
        asked = ", ".join(f"{name}={value}" for name, value in body.items() if name != "prompt")
        lines += [
            ("Text", entry.prompt.text),
            ("Asked with", f"{asked} (service: {entry.request.host_kind})"),
        ]
    if story["overrides"]:
        lines.append(("Its own", ", ".join(f"{k}={v}" for k, v in story["overrides"].items())))
    current = set(story["current"])
    for picture in story["pictures"]:
        mark = " ← current" if picture["file"] in current else ""
        lines.append(("Picture", f"{picture['file']} ({picture['how']} {moment(picture['saved_at'])}){mark}"))
    for chain in story["purchases"]:
        billing = ", ".join(post["billing"] for post in chain["posts"]) or "nothing sent"
        error = f", {chain['error']}" if chain["error_class"] else ""
        lines.append(("Purchase", f"{moment(chain['created_at'])} {chain['state']}; requests: {billing}{error}"))
    return lines
