"""Decides on each submission: rejected, refused, sold, answered by a script, or its answer lost.

Knows the faults and the journal, and no HTTP: `service` turns a `Decision` into an answer. All is decided and
recorded in one transaction before the answer is sent: an answer that gets lost was billed.
"""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace

from duomi_pipeline.sandbox.decisions import Decision, Submission
from duomi_pipeline.sandbox.faults import Faults, has_word
from duomi_pipeline.sandbox.journal import Books, Outcome, Post, Purchase
from duomi_pipeline.sandbox.plays import Play
from duomi_pipeline.sandbox.protocols import MAX_SEED, Order, ServiceError, parse_size, read_order

DAY = 86_400
BEFORE_THE_SALE = ("rate_reset_before", "rate_500_html", "rate_html_200")
AFTER_THE_SALE = ("rate_reset_after", "rate_truncated_answer", "rate_hang")


class LostError(Exception):
    """A fault hit the submission before it was read; the argument is the fault's name."""


def check_key(authorization: Sequence[str], faults: Faults) -> None:
    """Check the Authorization headers of a request: the raw key, or with Bearer before it.

    Raises:
        ServiceError: There is more than one, or the key is not the one that is accepted.
    """
    if len(authorization) > 1:
        raise ServiceError(400, 400, "Bad Request", html=True)
    given = authorization[0].strip() if authorization else ""
    if faults.api_key is not None and given.removeprefix("Bearer ").strip() != faults.api_key:
        raise ServiceError(401, 401, "Invalid token")


class Submissions:
    """Accepts and decides submissions.

    Args:
        books: The journal.
        clock: Seconds since 1970.
    """

    def __init__(self, books: Books, clock: Callable[[], float]) -> None:
        self._books = books
        self._clock = clock

    def take(self, submission: Submission, faults: Faults) -> Decision:
        """Decide on a submission and record it in the journal.

        Args:
            submission: What came.
            faults: In force now.
        """
        digest = hashlib.blake2b(submission.body, digest_size=16).hexdigest()
        with self._books.transaction():
            came_before = self._books.times_posted(digest)
            key = f"{digest}/{came_before}"
            now = self._clock()
            prompt = submission.prompt or ""
            play = faults.play_for(prompt, submission.model or "", key, came_before)
            try:
                decision = self._decide(submission, key, now, faults, play)
            except LostError as lost:
                decision = Decision(key, fault=str(lost))
            except ServiceError as error:
                decision = Decision(key, error=error)
            decision = replace(decision, interim=faults.interrupts(prompt, key))
            billed = self._bill(decision, submission.name, faults)
            self._books.add_post(_post(now, submission, decision, billed))
        return decision

    def credits_left(self, faults: Faults) -> int | None:
        """Pictures that can still be billed; None if there is no limit."""
        return None if faults.credits is None else max(0, faults.credits - self._books.billed())

    def _decide(self, submission: Submission, key: str, now: float, faults: Faults, play: Play | None) -> Decision:
        check_key(submission.authorization, faults)
        self._let_in(key, now, faults, submission.in_flight)
        earlier = None if submission.name is None else self._books.named_purchase(submission.name)
        if earlier is None and play is not None and not play.billed:
            return Decision(key, play=play)
        order = read_order(submission.protocol, submission.fields)
        if earlier is not None:
            return Decision(key, earlier, inline=order.inline, repeated=True)
        purchase = self._sell(order, key, now, faults)
        fault = None if play else faults.first_strike(AFTER_THE_SALE, key)
        return Decision(key, purchase, inline=order.inline, fault=fault, play=play)

    def _bill(self, decision: Decision, name: str | None, faults: Faults) -> int:
        if decision.purchase is None or decision.repeated:
            return 0
        if name is not None:
            self._books.name_purchase(name, decision.purchase.token)
        return self._books.add_purchase(decision.purchase, amount=faults.price)

    def _let_in(self, key: str, now: float, faults: Faults, in_flight: int) -> None:
        lost = faults.first_strike(BEFORE_THE_SALE, key)
        if lost:
            raise LostError(lost)
        if faults.concurrency is not None and in_flight > faults.concurrency:
            raise ServiceError(503, 50505, "Model service overloaded. Please try again later.")
        if faults.strikes("rate_503", key):
            raise ServiceError(503, 50505, "Model service overloaded. Please try again later.")
        if faults.strikes("rate_429", key):
            raise ServiceError(429, 50604, "Request was rejected due to rate limiting.", faults.retry_after)
        if faults.requests_per_day is not None:
            count, _ = self._books.let_in_since(now - now % DAY)
            if count >= faults.requests_per_day:
                raise ServiceError(429, 50605, "Request was rejected due to rate limiting. Details: IPD limit reached.")
        if faults.requests_per_minute is not None:
            count, first = self._books.let_in_since(now - 60)
            if count >= faults.requests_per_minute:
                wait = max(0.0, (first or now) + 60 - now)
                message = "Request was rejected due to rate limiting. Details: IPM limit reached."
                raise ServiceError(429, 50604, message, wait)

    def _sell(self, order: Order, key: str, now: float, faults: Faults) -> Purchase:
        if order.model in faults.disabled_models:
            raise ServiceError(403, 30003, "Model disabled.")
        if faults.known_models and order.model not in faults.known_models:
            raise ServiceError(400, 20012, "Model does not exist. Please check it carefully.")
        outcome = self._outcome(order, faults)
        left = self.credits_left(faults)
        if outcome == "pictures" and left is not None and left < order.pictures:
            raise ServiceError(402, 30001, "Sorry, your account balance is insufficient.")
        seed = order.seed if order.seed is not None else int(faults.draw("seed", key) * MAX_SEED)
        width, height = parse_size(faults.image_size) if faults.image_size else order.size
        return Purchase(
            token=secrets.token_hex(16),
            key=key,
            at=now,
            protocol=order.protocol,
            model=order.model,
            prompt=order.prompt,
            seed=seed,
            width=width,
            height=height,
            pictures=order.pictures,
            image_format=faults.image_format or order.image_format,
            outcome=outcome,
        )

    def _outcome(self, order: Order, faults: Faults) -> Outcome:
        refused = has_word(order.prompt, faults.refuse)
        if order.protocol in ("siliconflow", "openai"):
            if refused:
                raise ServiceError(451, 20021, "The prompt was rejected: it may contain unsafe content.")
            return "pictures"
        if refused:
            return "refused"
        return "failed" if has_word(order.prompt, faults.task_fails) else "pictures"


def _post(now: float, submission: Submission, decision: Decision, billed: int) -> Post:
    purchase = decision.purchase
    return Post(
        at=now,
        key=decision.key.partition("/")[0],
        protocol=submission.protocol,
        model=submission.model,
        prompt=submission.prompt,
        seed=purchase.seed if purchase else None,
        body=submission.body.decode("utf-8", "replace"),
        answered=decision.answered,
        token=purchase.token if purchase else None,
        billed=billed,
    )
