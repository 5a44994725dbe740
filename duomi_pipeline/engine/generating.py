"""Connect what a run generates with: client, workers, limits, error policy. `session` opens and ends the run."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from duomi_pipeline.duomi.client import DuomiClient
from duomi_pipeline.duomi.request import settings_fingerprint
from duomi_pipeline.engine.batch import Batch
from duomi_pipeline.engine.claiming import Claimer
from duomi_pipeline.engine.download import Fetcher
from duomi_pipeline.engine.evidence import InARow
from duomi_pipeline.engine.fallback import Fallbacks
from duomi_pipeline.engine.flow_control import FlowControl
from duomi_pipeline.engine.job import Endings, Job
from duomi_pipeline.engine.keeping import Keeper
from duomi_pipeline.engine.plan import PlannedPrompt
from duomi_pipeline.engine.purchase import Buyer
from duomi_pipeline.engine.save import Saver
from duomi_pipeline.engine.sending import Sender
from duomi_pipeline.engine.tasks import Tasks
from duomi_pipeline.engine.verdict import SAME_TIME, Judge
from duomi_pipeline.engine.width import TRUST
from duomi_pipeline.ledger import Limits
from duomi_pipeline.settings import ImageParameters, Settings

if TYPE_CHECKING:
    from duomi_pipeline.engine.session import Session

SANDBOX_JOURNAL = "out/sandbox.db"


def build_batch(
    session: "Session",
    client: DuomiClient,
    entries: Sequence[PlannedPrompt],
    below: ImageParameters,
    *,
    force: bool,
    max_images: int | None,
) -> Batch:
    """The batch of one run.

    Args:
        session: of the run.
        client: of the service.
        entries: prompts from a plan.
        below: the parameters of run and settings.
        force: buy also current pictures again.
        max_images: how many pictures may be bought.
    """
    settings, ledger, store, now = session.settings, session.ledger, session.store, time.time()
    fingerprint = settings_fingerprint(settings, below)
    jobs = _jobs(entries, force=force)
    to_send = sum(force or not job.entries[0].reusable for job in jobs)
    trusted = ledger.was_answered(fingerprint, settings.service_identity, now - TRUST)
    flow = FlowControl(settings, to_send, session.waits, trusted=trusted)
    tasks = Tasks(settings, client, ledger)
    fetcher = Fetcher(client, ledger, tasks, flow.hurried, settings.download_patience)
    fallbacks = Fallbacks(settings, below, ledger, store)
    limits = _limits(settings, max_images)
    keeper = Keeper(settings, session.kept, client, fetcher, ledger)
    buyer = Buyer(
        settings=settings,
        ledger=ledger,
        claimer=Claimer(ledger, tasks, keeper, limits, flow, session.run_id),
        sender=Sender(
            settings=settings,
            client=client,
            ledger=ledger,
            store=store,
            tasks=tasks,
            keeper=keeper,
            limits=limits,
            fallbacks=fallbacks,
            flow=flow,
            run_id=session.run_id,
        ),
        fetcher=fetcher,
        saver=Saver(ledger, store, fingerprint, settings.price, settings.currency),
        tasks=tasks,
        keeper=keeper,
        run_id=session.run_id,
    )
    endings = Endings(ledger, session.run_id)
    judge = Judge(
        settings=settings,
        ledger=ledger,
        endings=endings,
        fallbacks=fallbacks,
        fetcher=fetcher,
        flow=flow,
        in_a_row=InARow(ledger.failures_in_a_row(settings.service_identity, now - SAME_TIME, now)),
        lost_answers=limits.lost_answers,
    )
    return Batch(jobs, buyer, judge, endings, flow, requests=to_send)


@contextlib.contextmanager
def open_client(settings: Settings) -> Iterator[DuomiClient]:
    """A client for the service, or for a sandbox in this process that ends with the client."""
    with contextlib.ExitStack() as stack:
        url = settings.service_url
        if settings.uses_sandbox:
            # Imported here, because most commands and runs do not start the sandbox.
            from duomi_pipeline.sandbox.faults import Faults  # noqa: PLC0415
            from duomi_pipeline.sandbox.server import SandboxServer  # noqa: PLC0415

            journal = settings.path(SANDBOX_JOURNAL)
            journal.parent.mkdir(parents=True, exist_ok=True)
            # Relative addresses stay valid when the sandbox of a later run has another port.
            sandbox = SandboxServer(books_path=journal, faults=Faults(answer="relative_url"))
            url = stack.enter_context(sandbox).url
        yield stack.enter_context(
            DuomiClient(
                url,
                settings.api_key,
                settings.auth_scheme,
                settings.timeout,
                pool_size=settings.max_concurrency,
                user_agent=settings.user_agent,
                idempotency_header=settings.idempotency_header,
            )
        )


def _limits(settings: Settings, max_images: int | None) -> Limits:
    caps = [(settings.max_images_per_run, "DUOMI_MAX_IMAGES_PER_RUN"), (max_images, "max_images")]
    images_per_run, cap_name = min(((cap, name) for cap, name in caps if cap is not None), default=(None, ""))
    return Limits(
        images_per_run=images_per_run,
        images_per_run_by=cap_name,
        spend_per_run=settings.max_spend_per_run,
        spend_per_day=settings.max_spend_per_day,
        requests_per_minute=settings.requests_per_minute,
        requests_per_day=settings.requests_per_day,
        requests_in_flight=settings.requests_in_flight,
        price=settings.price,
        currency=settings.currency,
        lost_answers=1 + settings.ambiguous_retries,
    )


def _jobs(entries: Sequence[PlannedPrompt], *, force: bool) -> list[Job]:
    """One job per request; prompts with an identical request share it."""
    jobs: dict[str, Job] = {}
    for entry in entries:
        jobs.setdefault(entry.request.key, Job(entry.request, [], forced=force)).entries.append(entry)
    return list(jobs.values())
