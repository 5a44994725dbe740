"""`make fuzz`: the properties of this folder with random examples, round after round, until the time is over."""

import argparse
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

from duomi_pipeline_tests.fuzz.harness import PROFILE


def main() -> int:
    """Run rounds; the first that finds something is the last, and its examples are printed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="a round that has begun is brought to its end")
    until, rounds = time.monotonic() + parser.parse_args().seconds, 0
    while time.monotonic() < until:
        seed = secrets.randbelow(2**32)
        command = [
            sys.executable,
            "-m",
            "pytest",
            str(Path(__file__).parent),
            f"--hypothesis-seed={seed}",
            "--timeout=600",
        ]
        run = subprocess.run(
            [*command, "-p", "no:cacheprovider"],
            env={**os.environ, PROFILE: "long"},
            capture_output=True,
            text=True,
            check=False,
        )
        rounds += 1
        if run.returncode:
            print(run.stdout, run.stderr, f"Round {rounds}, seed {seed}: a finding.", sep="\n")
            return 1
        print(f"round {rounds}, seed {seed}: {run.stdout.strip().splitlines()[-1]}", flush=True)
    print(f"{rounds} rounds, no finding")
    return 0


if __name__ == "__main__":
    sys.exit(main())
