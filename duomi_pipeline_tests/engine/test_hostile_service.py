"""A hostile service, from the POST to the folder: its own prompt fails by name, the next one gets its picture."""

import base64
import json
from contextlib import closing
from pathlib import Path

import pytest

from duomi_pipeline.sandbox.server import SandboxServer
from duomi_pipeline_tests.duomi.service import Answer, ScriptedService
from duomi_pipeline_tests.engine.home import Home
from duomi_pipeline_tests.images.harness import encoded, gradient

PICTURE = encoded(gradient((72, 128)))
GOOD = Answer(json.dumps({"images": [f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"]}))
SYNC = "siliconflow"
ASYNC = "duomi_async"
HOSTILE = {
    "half a character in the words": (SYNC, Answer('{"message": "\\ud83d no"}', 500), "busy"),
    "control characters in the words": (SYNC, Answer('{"message": "\\u001b[2J\\u0000 no"}', 451), "refused"),
    "a code that is a book": (SYNC, Answer(json.dumps({"code": "x" * 100_000}), 503), "busy"),
    "half a character in the id": (ASYNC, Answer('{"id": "\\ud83d"}'), "not_understood"),
    "an id that leads elsewhere": (ASYNC, Answer('{"id": ".."}'), "not_understood"),
    "half a character in the address": (SYNC, Answer('{"images": ["http://a/\\ud83d"]}'), "bad_image"),
    "an address that is a file": (SYNC, Answer('{"images": ["file:///etc/hostname"]}'), "bad_image"),
    "an address that is a script": (SYNC, Answer('{"images": ["javascript:alert(1)"]}'), "not_understood"),
    "a seed out of range": (SYNC, Answer('{"images": ["data:,"], "seed": 1e999}'), "bad_image"),
    "deep": (SYNC, Answer('{"code":' + "[" * 900 + "]" * 900 + "}"), "not_understood"),
    "html": (SYNC, Answer("<script>alert(1)</script><h1>hello</h1>"), "not_understood"),
    "a web page as picture": (SYNC, Answer('{"images": ["data:text/html;base64,PGgxPmhlbGxvPC9oMT4="]}'), "bad_image"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_answer_is_the_named_failure_of_its_prompt(
    tmp_path: Path, sandbox: SandboxServer, ledger_url: str, name: str
) -> None:
    protocol, answer, error_class = HOSTILE[name]
    with ScriptedService(answer, GOOD) as service:
        settings = {"base_url": service.url, "protocol": protocol, "max_attempts": 1, "ambiguous_retries": 0}
        with closing(Home(tmp_path, sandbox, max_concurrency=1, ledger_url=ledger_url, **settings)) as home:
            home.write("a", "a boat")
            home.write("b", "a fox")
            run = home.run()
            failed = run.outcome("a").failure
            assert failed is not None
            assert failed.error_class == error_class
            assert str(failed).isprintable()
            assert run.stop is None
            assert run.outcome("b").status == "generated"
            assert home.infos().keys() == {"json_b"}
            assert {entry.prompt.id for entry in home.plan().entries} == {"json_a", "json_b"}
