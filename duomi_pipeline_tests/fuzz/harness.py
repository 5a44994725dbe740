"""How many examples a property gets: in the suite the same few each time, under `make fuzz` always others."""

import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

PROFILE = "DUOMI_FUZZ_PROFILE"
SECONDS = 5.0  # that one example may take; usually milliseconds
_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.large_base_example]

# Hypothesis keeps what it learned in a folder beside the code, unless it is told where else.
set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "duomi-fuzz")
settings.register_profile(
    "suite", max_examples=25, derandomize=True, database=None, deadline=None, suppress_health_check=_SLOW
)
settings.register_profile(
    "long", max_examples=400, database=None, deadline=None, suppress_health_check=_SLOW, print_blob=True
)
settings.load_profile(os.environ.get(PROFILE, "suite"))


def examples(share: float) -> int:
    """How many examples a property gets whose examples cost more or less than usual.

    Args:
        share: of the profile's number.
    """
    return max(1, round(settings().max_examples * share))
