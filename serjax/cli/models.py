"""Print the networks with their parameters, operations, input and paper.

serjax models
serjax models quat_vgg16 resnet50 --json
"""

import dataclasses
import json
from typing import TYPE_CHECKING

from serjax.cli import flags
from serjax.cli.parser import Parser

if TYPE_CHECKING:
    from rich.table import Table

    from serjax.models import ModelInfo


def _table(rows: "list[ModelInfo]") -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("model")
    for title in ("parameters", "GFLOP", "input"):
        table.add_column(title, justify="right")
    table.add_column("paper")
    for row in rows:
        size = " x ".join(map(str, row.input_shape))
        operations = f"{row.operations / 1e9:.3g}"
        table.add_row(row.name, f"{row.parameters:,}", operations, size, row.paper)
    return table


def main() -> int:
    """Parses the command line and prints; returns the exit status."""
    parser = Parser(__doc__, usage="%(prog)s [NAME ...] [options]")
    parser.add_argument("names", nargs="*", metavar="NAME", help="Networks (all).")
    parser.add_argument("--json", action="store_true", help="Print a list of objects.")
    parser.add_argument(
        "--import",
        dest="imports",
        action="append",
        default=[],
        metavar="MODULE",
        help="Module that registers models; repeatable.",
    )
    arguments = parser.parse_args()

    from serjax.console import Console
    from serjax.models import describe, front_end, names

    flags.import_modules(arguments.imports)
    chosen = arguments.names or names()
    for name in chosen:
        front_end(name)  # an unknown name is reported before the others take their time
    with Console(stderr=True).status("describing"):
        rows = [describe(name) for name in chosen]
    if arguments.json:
        print(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
    else:
        Console().print(_table(rows))
    return 0
