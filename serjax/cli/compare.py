"""Compare two runs, or two cross-validations, on the same test utterances.

    serjax compare runs/emodb-svm-speaker-folds-0 runs/emodb-lda-speaker-folds-0

Prints WA, UA and F1 of both, their differences with 95 % intervals, and p values.
"""

import json
from pathlib import Path

from serjax.cli.parser import Parser


def main() -> int:
    """Parses the command line and compares; returns the exit status."""
    parser = Parser(__doc__, usage="%(prog)s RUN_A RUN_B [options]")
    add = parser.add_argument
    add("first", type=Path, metavar="RUN_A", help="Folder of a finished run or cross-validation.")
    add("second", type=Path, metavar="RUN_B", help="Another one with the same test utterances.")
    add(
        "--resamples",
        type=int,
        default=10_000,
        metavar="N",
        help="Resamples of the bootstrap (default: %(default)s).",
    )
    add("--seed", type=int, default=0, metavar="N", help="Seed of the bootstrap (default: 0).")
    add(
        "--format",
        choices=("table", "json"),
        default="table",
        help="Format of the output (default: %(default)s).",
    )
    arguments = parser.parse_args()

    from serjax import report
    from serjax.console import Console

    comparison = report.compare(
        arguments.first, arguments.second, resamples=arguments.resamples, seed=arguments.seed
    )
    if arguments.format == "json":
        print(json.dumps(comparison, indent=2))
    else:
        report.print_comparison(Console(), comparison, arguments.first, arguments.second)
    return 0
