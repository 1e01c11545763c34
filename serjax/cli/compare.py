"""Compares two runs, or two cross-validations, on the same test utterances.

    python experiments/compare.py runs/emodb-svm-speaker-folds-0 runs/emodb-lda-speaker-folds-0

Prints WA, UA and F1 of both, their differences with 95 % intervals, and p values.
"""

import json
from pathlib import Path

from rich.console import Console

from serjax import report
from serjax.cli.parser import Parser


def main() -> int:
    """Parses the command line and compares; returns the exit status."""
    parser = Parser(__doc__)
    add = parser.add_argument
    add("first", type=Path, metavar="RUN_A", help="folder of a finished run or cross-validation")
    add("second", type=Path, metavar="RUN_B", help="another one of the same test utterances")
    add("--resamples", type=int, default=10_000, help="of the bootstrap (%(default)s)")
    add("--seed", type=int, default=0, help="of the bootstrap (%(default)s)")
    add("--format", choices=("table", "json"), default="table", help="(%(default)s)")
    given = parser.parse_args()
    found = report.compare(given.first, given.second, resamples=given.resamples, seed=given.seed)
    if given.format == "json":
        print(json.dumps(found, indent=2))
    else:
        report.print_comparison(Console(), found, given.first, given.second)
    return 0
