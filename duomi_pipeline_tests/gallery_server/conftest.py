"""A home with pictures, and its sandbox."""

from duomi_pipeline_tests.cli.conftest import empty_history, home, sandbox

__all__ = ["empty_history", "home", "sandbox"]
