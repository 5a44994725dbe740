"""A home folder and a sandbox for each test, as the engine's tests have them."""

from duomi_pipeline_tests.engine.conftest import home, sandbox

__all__ = ["home", "sandbox"]
