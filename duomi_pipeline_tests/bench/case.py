"""One case in a process of its own, so that CPU time, peak memory and imports are its alone."""

import sys
from importlib import import_module
from pathlib import Path

# The module of each is imported only for its own case.
CASES = {
    "R1 threads": "references.bare_threads",
    "R2 threads, decode, thumbnail": "references.threads_and_decode",
    "engine alone": "engine.engine_alone",
    "through Dagster": "through_dagster.through_dagster",
    "duomi generate": "installed.generate",
    "duomi generate, all reused": "installed.reuse",
    "duomi generate, one of 10,000, until its request": "installed.first_request",
    "idiomatic Dagster": "idiomatic.idiomatic_dagster",
    "idiomatic Dagster, decode, thumbnail": "idiomatic.idiomatic_and_decode",
}


def main(case: str, url: str, prompts: str, concurrency: str, folder: str) -> None:
    """Run a case and print what it cost."""
    texts = [f"A quiet harbour at dawn, boat number {number}" for number in range(int(prompts))]
    module, function = CASES[case].split(".")
    run = getattr(import_module(f"duomi_pipeline_tests.bench.{module}"), function)
    run(url, texts, int(concurrency), Path(folder) / "case").printed()


if __name__ == "__main__":
    main(*sys.argv[1:])
