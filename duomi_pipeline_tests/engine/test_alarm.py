import threading
from contextlib import ExitStack

import pytest

from duomi_pipeline.engine.alarm import Alarm

LONG = 3600.0


def test_a_block_that_takes_too_long_is_told_while_it_lasts() -> None:
    rung = threading.Event()
    with Alarm(0.0).after(rung.set):
        assert rung.wait(30)


def test_a_block_that_ends_in_time_is_not_told() -> None:
    alarm, rung = Alarm(LONG), threading.Event()
    with alarm.after(rung.set):
        pass
    assert not rung.is_set()


def test_a_call_ends_before_its_block_does_also_after_an_error() -> None:
    begun, done = threading.Event(), []

    def call() -> None:
        begun.set()
        done.append(threading.current_thread().name)

    with pytest.raises(ValueError, match="of the block"), Alarm(0.0).after(call):
        begun.wait(30)
        raise ValueError("of the block")
    assert done == ["duomi-alarm"]


def test_many_blocks_at_once_are_each_told_once_by_one_thread() -> None:
    told: list[int] = []
    everything = threading.Barrier(2)

    def tell(number: int) -> None:
        told.append(number)
        if len(told) == 20:
            everything.wait(30)

    alarm = Alarm(0.01)
    with ExitStack() as blocks:
        for number in range(20):
            blocks.enter_context(alarm.after(lambda number=number: tell(number)))  # type: ignore[misc]
        everything.wait(30)
    assert told == list(range(20))


def test_it_watches_again_after_it_had_nothing_to_watch() -> None:
    alarm = Alarm(0.01)
    for _ in range(2):
        rung = threading.Event()
        with alarm.after(rung.set):
            assert rung.wait(30)
        for thread in threading.enumerate():
            if thread.name == "duomi-alarm":
                thread.join(30)
