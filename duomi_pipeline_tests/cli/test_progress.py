"""What a command says while it works on what takes long."""

import threading

import pytest

from duomi_pipeline.cli.progress import announce_if_slow


def test_what_takes_long_is_said_before_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    said, heard = [], threading.Event()

    def echo(text: str, *, err: bool) -> None:
        said.append((text, err))
        heard.set()

    monkeypatch.setattr("duomi_pipeline.cli.progress.SLOW", 0.0)
    monkeypatch.setattr("duomi_pipeline.cli.progress.click.echo", echo)
    with announce_if_slow("Reading the prompts"):
        assert heard.wait(10)
    assert said == [("Reading the prompts …", True)]


def test_what_is_quick_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    with announce_if_slow("Reading the prompts"):
        (timer,) = [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    timer.join(10)
    assert capsys.readouterr().err == ""
