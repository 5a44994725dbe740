"""A property: whatever mix of statuses, bodies and breaks a service answers with, nobody pays or loses more than is said.

`make fuzz` tries more of it.
"""

import json
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from duomi_pipeline.engine import GENERATED_BY_ITSELF, State
from duomi_pipeline.sandbox.faults import Faults
from duomi_pipeline.sandbox.plays import Play
from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.engine.home import Home
from duomi_pipeline_tests.fuzz.harness import examples

PROMPTS = 20
BY_ITSELF = GENERATED_BY_ITSELF | {State.FAILED_FOR_NOW}
WORDS = (
    "",
    "rejected by content moderation",
    "string too long",
    "No available channel for model x",
    "You exceeded your current quota, check your billing",
    "field x is wrong",
    "Invalid token",
    "too fast",
    "操作成功",
    "内容违规",
)
CODES = (
    None,
    0,
    1,
    200,
    400,
    10000,
    20012,
    20015,
    20021,
    20035,
    30001,
    30003,
    50505,
    50605,
    "moderation_blocked",
)

bodies = st.one_of(
    st.builds(lambda code, message: json.dumps({"code": code, "message": message}), st.sampled_from(CODES), st.sampled_from(WORDS)),
    st.builds(lambda code, message: json.dumps({"error": {"code": code, "message": message}}), st.sampled_from(CODES), st.sampled_from(WORDS)),
    st.sampled_from(['{"images": []}', '{"data": null}', '"Invalid token"', "", "<h1>Bad Gateway</h1>", "data: [DONE]", "[1]", "{"]),
)  # fmt: skip
# What says nothing of its own: such an answer may stand for a picture that was drawn and billed.
silent = st.sampled_from(['{"images": []}', "", "<h1>Bad Gateway</h1>", '{"artwork": "elsewhere"}'])
ANSWER_LOST = [408, 499, 502, 504, 520, 524]
own_words = st.builds(
    Play,
    word=st.integers(0, PROMPTS - 1).map(lambda number: f"number{number:02}."),
    times=st.sampled_from([1, 2, None]),
    status=st.sampled_from([200, 400, 401, 403, 404, 413, 422, 429, 451, 500, 503, 530]),
    body=bodies,
    headers=st.sampled_from([{}, {"Retry-After": "0.01"}]),
)
lost = st.builds(
    Play,
    word=st.integers(0, PROMPTS - 1).map(lambda number: f"number{number:02}."),
    times=st.sampled_from([1, 2, None]),
    billed=st.just(True),
    status=st.sampled_from([200, *ANSWER_LOST]),
    body=silent,
)
plays = st.one_of(own_words, lost)
breaks = st.fixed_dictionaries(
    {},
    optional={
        name: st.sampled_from([0.1, 0.3])
        for name in ("rate_reset_before", "rate_reset_after", "rate_truncated_answer", "rate_503", "rate_html_200")
    },
)
for_all = st.one_of(
    st.none(),
    st.builds(Play, status=st.sampled_from([400, 403, 500]), body=bodies),
    st.builds(Play, status=st.sampled_from([200, 524]), body=silent, billed=st.just(True)),
)


@given(st.lists(plays, max_size=8), breaks, for_all, st.sampled_from([1, 4]), st.sampled_from([None, 0.5]))
@settings(max_examples=examples(0.6), deadline=None, suppress_health_check=list(HealthCheck))
def test_every_prompt_ends_as_its_own_picture_or_named_and_nobody_pays_more_than_is_said(
    played: list[Play], broken: dict[str, Any], everywhere: Play | None, width: int, cap: float | None
) -> None:
    all_plays = (*played, *([everywhere] if everywhere else []))
    faults = Faults(picture="flat", plays=all_plays, **broken)
    with tempfile.TemporaryDirectory() as name, SandboxServer(faults=faults) as sandbox:
        more: dict[str, Any] = {"timeout": 0.5, "max_attempts": 2, "max_concurrency": width, "max_spend_per_day": cap}
        with closing(Home(Path(name), sandbox, **more)) as home:
            for number in range(PROMPTS):
                home.write(f"p{number:02}", f"A boat, number{number:02}.")
            for _ in range(2):
                run = home.run(BY_ITSELF)
                _check(home, run.stop is not None, {**run.failures}, {prompt.id for prompt in run.remaining}, cap)


def _check(home: Home, stopped: bool, failures: dict[str, str], remaining: set[str], cap: float | None) -> None:
    plan, infos = home.plan(), home.infos()
    assert stopped or not remaining
    for entry in plan.entries:
        if entry.state is State.CURRENT:
            assert infos[entry.prompt.id].prompt == entry.prompt.text
        else:
            why = entry.purchase.error_message if entry.purchase else None
            assert entry.prompt.id in failures or entry.prompt.id in remaining or why
    bills = Counter(billing.prompt for billing in home.sandbox.books.billings())
    current = {entry.prompt.text for entry in plan.entries if entry.state is State.CURRENT}
    assert all(count - (text in current) <= 2 for text, count in bills.items())
    money = home.money()
    assert home.billed <= money.billed + money.maybe_billed
    assert cap is None or home.billed <= round(cap / 0.1)
