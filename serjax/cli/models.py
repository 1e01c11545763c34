"""Prints the catalogue of networks.

serjax models
serjax models quat_vgg16 resnet50 --json
"""

import dataclasses
import json

from rich.console import Console
from rich.table import Table

from serjax.cli.parser import Parser
from serjax.models import ModelInfo, describe, front_end, names


def _table(rows: list[ModelInfo]) -> Table:
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
    parser = Parser(__doc__, prog="serjax models")
    parser.add_argument("names", nargs="*", metavar="NAME", help="networks (all)")
    parser.add_argument("--json", action="store_true", help="a list of objects instead of a table")
    arguments = parser.parse_args()
    chosen = arguments.names or names()
    for name in chosen:
        front_end(name)  # an unknown name is told before the others take their time
    with Console(stderr=True).status("describing"):
        rows = [describe(name) for name in chosen]
    if arguments.json:
        print(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
    else:
        Console().print(_table(rows))
    return 0
