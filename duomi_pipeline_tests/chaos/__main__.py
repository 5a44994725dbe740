"""The proof of the promise: kill the pipeline again and again, then compare three books.

    python -m duomi_pipeline_tests.chaos --protocol async --prompts 200 --kills 30
    python -m duomi_pipeline_tests.chaos --workers 2 --ledger postgresql+psycopg2://… --minutes 30

The sandbox runs in this process with every fault on; `duomi generate` runs in its own, or in several with own homes on
one ledger, and is ended by SIGKILL at random moments, until the kills or the minutes are used up; in between the
folder of pictures is away for a start, or a picture is renamed or rated; then it runs until there is nothing more
that it does by itself. What the sandbox billed, what the ledger says and what lies in the folder is compared, and
printed as a table. At last the faults end, and the user says `--failed`. Ends with 1 if a promise does not hold.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from duomi_pipeline_tests.chaos.faults import FAULTS
from duomi_pipeline_tests.chaos.killing import Plan, prove


def main() -> None:
    """Prove it, print the table, end with 1 if a promise does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protocol", choices=sorted(FAULTS), default="async")
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--minutes", type=float, default=0.0, help="kill for so long, and add prompts meanwhile")
    parser.add_argument("--workers", type=int, default=1, help="at the same time, each with a home of its own")
    parser.add_argument("--ledger", help="SQLAlchemy URL of an empty ledger; default: SQLite in the home")
    parser.add_argument("--images", help="where the pictures go, a path or an fsspec URL; default: in the home")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="duomi-chaos-") as folder:
        started = time.monotonic()
        plan = Plan(
            protocol=options.protocol,
            prompts=options.prompts,
            kills=options.kills,
            minutes=options.minutes,
            workers=options.workers,
            ledger=options.ledger,
            images=options.images,
            seed=options.seed,
        )
        proof = prove(Path(folder), plan, FAULTS[options.protocol])
        print(f"{options.protocol}, seed {options.seed}, {time.monotonic() - started:.0f} s")
        print(proof.table())
    failures = proof.failures()
    print("\n".join(f"DOES NOT HOLD: {promise}" for promise in failures) or "Every promise holds.")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
