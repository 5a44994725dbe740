"""Why a request was not sent, where that is no error of the service: nothing happened, nothing was billed."""

from duomi_pipeline.engine.outcome import Failure


class StoppedError(Exception):
    """The run was stopped before this request was sent: nothing happened."""


class NoRoomError(Exception):
    """The disk has no space for the picture: nothing was sent."""


class FailedBeforeError(Exception):
    """The request failed in an earlier or another run, and was not chosen for a retry: nothing was sent."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure
