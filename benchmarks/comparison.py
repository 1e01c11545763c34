"""Two folders of results side by side: ratios of medians with intervals, regressions flagged."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.measure import FEWEST
from serjax.errors import InputError

_RESAMPLES = 2000
# Of these more is better; of all other quantities, less.
_RATES = ("throughput", "hours_per_s")
# Ratios within a run, which its own times already tell.
_DERIVED = (
    "of_real",
    "of_none",
    "of_serjax",
    "of_bandwidth",
    "step_of_real",
    "of_one",
    "exponent",
)


class Change(NamedTuple):
    """How one quantity changed.

    Attributes:
        name: Suite, case, row and quantity.
        ratio: New median to old.
        low: Lower end of the ratio's 95 % interval.
        high: Upper end.
        verdict: "slower", "faster", "tie" where the interval spans 1, or "too few rounds".
    """

    name: tuple[str, ...]
    ratio: float
    low: float
    high: float
    verdict: str


def ratio(old: Sequence[float], new: Sequence[float]) -> tuple[float, float, float]:
    """Ratio of the new median to the old, and its 95 % interval by bootstrap of both.

    The interval holds for calls of these two runs; that a machine is slower on another day is not
    in it.
    """
    rng = np.random.default_rng(0)
    before, after = (
        np.median(rng.choice(np.asarray(values), (_RESAMPLES, len(values))), axis=1)
        for values in (old, new)
    )
    low, high = np.quantile(after / before, [0.025, 0.975])
    return float(np.median(new) / np.median(old)), float(low), float(high)


def changes(
    old: dict[tuple[str, ...], list[float]], new: dict[tuple[str, ...], list[float]]
) -> Iterator[Change]:
    """What both hold, in the order of the new."""
    for name, samples in new.items():
        if name not in old:
            continue
        middle, low, high = ratio(old[name], samples)
        verdict = "tie"
        if min(len(old[name]), len(samples)) < FEWEST:
            verdict = "too few rounds"
        elif low > 1 or high < 1:
            verdict = "faster" if (low > 1) == (name[-1] in _RATES) else "slower"
        yield Change(name, middle, low, high, verdict)


def read(path: Path) -> dict[tuple[str, ...], list[float]]:
    """Samples of a file of results, or of all in a folder, by suite, case, row and quantity.

    Raises:
        InputError: There is no such file or folder, it holds no results, or something else.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    samples: dict[tuple[str, ...], list[float]] = {}
    for file in files:
        try:
            content: dict[str, Any] = json.loads(file.read_text())
            for row in content["rows"]:
                texts = dict.fromkeys(value for value in row.values() if isinstance(value, str))
                for key, value in row.items():
                    quantity = key.removesuffix("_samples")
                    if quantity != key and quantity not in _DERIVED:
                        name = (content["suite"], content["dtype"], *texts, quantity)
                        samples[name] = value
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"--compare: {file}: expected the JSON results of a run") from error
    if not samples:
        raise InputError(f"--compare: expected a folder with JSON results, found none in {path}")
    return samples


def print_comparison(old: Path, new: Path, console: Console) -> int:
    """Prints the table; returns 1 where something became slower, else 0.

    Raises:
        InputError: As `read`, or the two have nothing in common.
    """
    found = list(changes(read(old), read(new)))
    if not found:
        raise InputError(f"--compare: {old} and {new} have no row in common")
    table = Table(box=None, pad_edge=False)
    for title in ("row", "new of old", "95 % interval", ""):
        table.add_column(title, justify="left" if title in ("row", "") else "right")
    for one in found:
        style = {"slower": "red", "faster": "green"}.get(one.verdict)
        cells = (f"{one.ratio:.3f}", f"{one.low:.3f} – {one.high:.3f}", one.verdict)
        table.add_row(", ".join(one.name), *cells, style=style)
    console.print(table)
    slower = sum(one.verdict == "slower" for one in found)
    console.print(f"{slower} of {len(found)} became slower")
    return 1 if slower else 0
