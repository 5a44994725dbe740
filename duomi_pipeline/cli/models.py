"""`duomi models`. Profiles are in `duomi.profiles`, the probe itself in `maintenance.probe`."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import click

from duomi_pipeline.cli.console import json_option, print_json
from duomi_pipeline.common.text import counted, safe
from duomi_pipeline.duomi import DuomiError, ImageRequest, build_request
from duomi_pipeline.duomi.errors import AccountError
from duomi_pipeline.duomi.profiles import Profile, known_profiles, profile_of
from duomi_pipeline.duomi.protocols import ROUTES
from duomi_pipeline.duomi.sizes import SizeRule
from duomi_pipeline.engine import Session
from duomi_pipeline.engine.generating import open_client
from duomi_pipeline.engine.plan import PlannedPrompt, requests_to_buy, total_cost
from duomi_pipeline.maintenance.probe import ONE_TRY, Probe, ask, probe_prompt
from duomi_pipeline.prompts.parameters import BadParametersError, checked_parameters
from duomi_pipeline.reporting.receipt import amount
from duomi_pipeline.settings import ParameterOverrides, Settings

EXIT_SOME_DID_NOT = 1
EXIT_ACCOUNT = 3
EXIT_CAP = 4


@dataclass(frozen=True)
class _Model:
    """A model, and the request that the settings would send to it now; the fields are the keys of `--json`.

    Attributes:
        known: whether it has a profile.
        num_inference_steps, guidance_scale: lowest and highest value, `None` if the model does not take it.
        sizes: which it takes, as text.
        price: of one picture, `None` if unknown.
        prompt_tokens: how many tokens of a prompt it reads, `None` if unknown.
        problem: why this request is invalid, `None` if it is valid.
    """

    model: str
    known: bool
    in_use: bool
    protocol: str
    seed: bool
    negative_prompt: bool
    num_inference_steps: tuple[float, float] | None
    guidance_scale: tuple[float, float] | None
    batch_max: int
    sizes: str
    delivery_size: str
    asked_size: str
    price: float | None
    prompt_tokens: int | None
    english_only: bool
    problem: str | None


@click.command()
@click.argument("names", metavar="[MODEL]...", nargs=-1)
@click.option("--probe", "probing", is_flag=True, help="Request one small picture from each model. Costs money.")
@click.option("--force", is_flag=True, help="With --probe: also models that have answered before.")
@click.option("--yes", is_flag=True, help="With --probe: do not ask for confirmation before paid requests.")
@json_option
def models(names: tuple[str, ...], probing: bool, force: bool, yes: bool, as_json: bool) -> None:
    """Print the model profiles: protocol, parameters, sizes, price; --probe sends each model one small request.

    A model without a profile works too, with all fields of its protocol. You can change profiles: docs/models.md.

    \b
    Examples:
      duomi models
      duomi models --probe      one picture of each, the cost is printed first
      duomi models --probe black-forest-labs/FLUX.1-schnell      of this one only

    Exit codes of --probe: 0 all answer, 1 some do not, 3 key or balance, 4 stopped by a cap, 130 interrupted.
    """
    settings = Settings.load()
    known = known_profiles(settings)
    _check(names)
    chosen = tuple(dict.fromkeys(names)) or tuple(dict.fromkeys([*known, settings.model]))
    described = {name: _described(settings, name) for name in chosen}
    if not probing:
        if as_json:
            print_json({"models": [asdict(about) for about in described.values()]})
        else:
            for about in described.values():
                _show(about, settings)
        return
    probes, spend = _probe(chosen, force=force, yes=yes, as_json=as_json)
    if as_json:
        found = {one.model: vars(one) for one in probes}
        content = [{**asdict(about), "probe": found[name]} for name, about in described.items()]
        print_json({"models": content, "spend": spend, "currency": settings.currency})
    sys.exit(_exit_code(probes))


def _check(names: Sequence[str]) -> None:
    for name in names:
        try:
            checked_parameters({"model": name})
        except BadParametersError as error:
            raise click.UsageError(str(error)) from error


def _probe(names: Sequence[str], *, force: bool, yes: bool, as_json: bool) -> tuple[list[Probe], float | None]:
    """Probe these models. Returns the result of each, and the money spent."""
    settings = Settings.load(**ONE_TRY)
    if refused := _key_refused(settings):
        probes = [Probe(name, "account", refused) for name in names]
        for probe in probes:
            _print(probe, as_json=as_json)
        return probes, 0.0
    with Session(settings) as session:
        entries = session.plan([probe_prompt(settings, name) for name in names]).entries
        _confirm(settings, entries, force=force, yes=yes)
        probes = ask(session, entries, lambda one: _print(one, as_json=as_json), force=force)
        return probes, session.ledger.money(run_id=session.run_id).spent


def _key_refused(settings: Settings) -> str:
    """Why the service refuses the key, checked free of charge; empty if it accepts it or cannot be asked."""
    if settings.uses_sandbox:
        return ""
    try:
        with open_client(settings) as client:
            client.check_key()
    except AccountError as error:
        return str(error)
    except DuomiError:
        return ""
    return ""


def _confirm(settings: Settings, entries: Sequence[PlannedPrompt], *, force: bool, yes: bool) -> None:
    """Print what a probe costs before it is sent, and ask for confirmation."""
    requests = list(requests_to_buy(entries, force=force).values())
    cost = total_cost(requests)
    price = "" if settings.uses_sandbox or not requests else f", cost: {amount(cost, settings.currency)}"
    click.echo(
        f"{counted(len(entries), 'model')}, {counted(len(requests), 'request')} for one picture each to "
        f"{settings.shown_service}{price}",
        err=True,
    )
    if requests and not yes and settings.host_kind == "service" and sys.stdin.isatty():
        click.confirm("Go on?", abort=True, err=True)


def _print(probe: Probe, *, as_json: bool) -> None:
    """Print the result of a model as soon as it is known: on stdout, or on stderr if stdout gets a JSON object."""
    took = f"{probe.seconds:.1f} s" if probe.answers and probe.seconds is not None else ""
    words = ", ".join(filter(None, [took, probe.size if probe.answers else "", probe.message]))
    click.echo(safe(f"{probe.verdict:<16} {probe.model}: {words}"), err=as_json)


def _exit_code(probes: Sequence[Probe]) -> int:
    verdicts = {probe.verdict for probe in probes}
    if "account" in verdicts:
        return EXIT_ACCOUNT
    if "not asked" in verdicts and "not saved" not in verdicts:
        return EXIT_CAP
    return 0 if all(probe.answers for probe in probes) else EXIT_SOME_DID_NOT


def _described(settings: Settings, name: str) -> _Model:
    profile = profile_of(settings, name)
    request = build_request(settings, "", "", ParameterOverrides(model=name).over(settings.parameters))
    fields = ROUTES[request.protocol].fields
    takes = fields if profile.fields is None else fields & profile.fields
    return _Model(
        model=name,
        known=name in known_profiles(settings),
        in_use=name == settings.model,
        protocol=request.protocol,
        seed="seed" in takes,
        negative_prompt="negative_prompt" in takes,
        num_inference_steps=profile.ranges.get("num_inference_steps", (1, 100))
        if "num_inference_steps" in takes
        else None,
        guidance_scale=profile.ranges.get("guidance_scale", (0, 20)) if "guidance_scale" in takes else None,
        batch_max=profile.batch_max if "batch_size" in takes else 1,
        sizes=_sizes(profile, request),
        delivery_size=str(request.delivery_size),
        asked_size=str(request.asked_size),
        price=request.price,
        prompt_tokens=profile.prompt_tokens or None,
        english_only=profile.english_only,
        problem=str(request.problem) if request.problem else None,
    )


def _sizes(profile: Profile, request: ImageRequest) -> str:
    if ratios := ROUTES[request.protocol].ratios:
        return f"by ratio: {', '.join(profile.ratios or ratios)}"
    if profile.sizes:
        return f"only {', '.join(profile.sizes)}"
    if profile.size_rule == SizeRule():
        return "any"
    low, high = profile.min_pixels / 1e6, profile.max_pixels / 1e6
    ratio = f", at most {profile.max_ratio:g}:1" if profile.max_ratio < SizeRule.max_ratio else ""
    return f"sides divisible by {profile.side_multiple}, up to {profile.max_side}, {low:.2f} to {high:.2f} MP{ratio}"


def _show(about: _Model, settings: Settings) -> None:
    """Print a model in a few lines."""
    marks = ["in use (DUOMI_MODEL)"] * about.in_use + ["no profile: requests as its protocol says"] * (not about.known)
    click.echo(safe(about.model) + "".join(f"  ← {mark}" for mark in marks))
    takes = ["seed"] * about.seed + ["negative prompt"] * about.negative_prompt
    ranges = {"steps": about.num_inference_steps, "guidance": about.guidance_scale}
    takes += [f"{name} {limits[0]:g} to {limits[1]:g}" for name, limits in ranges.items() if limits]
    takes += [f"up to {about.batch_max} pictures at once"] * (about.batch_max > 1)
    tokens = f"{about.prompt_tokens:,} tokens" if about.prompt_tokens else "unknown number of tokens"
    lines = {
        "protocol": about.protocol,
        "sizes": f"{about.sizes}; {about.delivery_size} is asked for as {about.asked_size}",
        "takes": ", ".join(takes) or "nothing but prompt and size",
        "reads": tokens + (", English only" if about.english_only else ""),
        "price": "none: the sandbox is free" if settings.uses_sandbox else amount(about.price, settings.currency),
        "problem": about.problem,
    }
    for name, text in lines.items():
        if text:
            click.echo(f"    {name + ':':<10} {safe(text)}")
