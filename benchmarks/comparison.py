"""Comparison of two folders of results: ratios of medians with intervals, and regressions."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.table import Table

from benchmarks.measure import MIN_ROUNDS
from serjax.console import Console
from serjax.errors import InputError

_RESAMPLES = 2000
# For these quantities more is better; for all others less is better.
_RATES = ("throughput", "hours_per_s")

# Samples `[rounds]` by suite, dtype, case, texts of the row, and quantity.
Samples = Mapping[tuple[str, ...], Sequence[float]]


class Comparison(NamedTuple):
    """Comparison of one quantity in two runs.

    Attributes:
        name: Suite, dtype, case, texts of the row, and quantity.
        ratio: New median divided by the old.
        low: Lower end of the ratio's 95 % interval.
        high: Upper end of the ratio's 95 % interval.
        verdict: "slower", "faster", "tie" if the interval spans 1, or "too few rounds".
    """

    name: tuple[str, ...]
    ratio: float
    low: float
    high: float
    verdict: str


def ratio_of_medians(old: Sequence[float], new: Sequence[float]) -> tuple[float, float, float]:
    """Computes the ratio of the new median to the old, and its 95 % interval by bootstrap of both.

    The interval covers the variation between calls of these two runs. It does not cover variation
    of the machine between days.

    Args:
        old: Old samples, `[old rounds]`.
        new: New samples, `[new rounds]`.

    Returns:
        Ratio, lower and upper end of its interval.
    """
    rng = np.random.default_rng(0)
    old_medians, new_medians = (
        np.median(rng.choice(np.asarray(values), (_RESAMPLES, len(values))), axis=1)
        for values in (old, new)
    )
    low, high = np.quantile(new_medians / old_medians, [0.025, 0.975])
    return float(np.median(new) / np.median(old)), float(low), float(high)


def compare(old: Samples, new: Samples) -> Iterator[Comparison]:
    """Compares the quantities that both runs have, in the order of the new run.

    Args:
        old: Samples of the old run.
        new: Samples of the new run.

    Yields:
        The comparison of each common quantity.
    """
    for name, samples in new.items():
        if name not in old:
            continue
        ratio, low, high = ratio_of_medians(old[name], samples)
        verdict = "tie"
        if min(len(old[name]), len(samples)) < MIN_ROUNDS:
            verdict = "too few rounds"
        elif low > 1 or high < 1:
            verdict = "faster" if (low > 1) == (name[-1] in _RATES) else "slower"
        yield Comparison(name, ratio, low, high, verdict)


def read(path: Path) -> dict[tuple[str, ...], list[float]]:
    """Reads the samples of a file of results, or of all files in a folder.

    Args:
        path: JSON file, or folder with JSON files.

    Returns:
        Samples by suite, dtype, case, texts of the row, and quantity.

    Raises:
        InputError: The path does not exist, or a file is not the results of a run.
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
                    if quantity != key and not _is_derived(quantity):
                        name = (content["suite"], content["dtype"], *texts, quantity)
                        samples[name] = value
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"--compare: {file}: expected the JSON results of a run") from error
    if not samples:
        raise InputError(f"--compare: expected a folder with JSON results, found none in {path}")
    return samples


def _is_derived(quantity: str) -> bool:
    """Checks for a ratio within a run, which follows from the times of that run."""
    return "_vs_" in quantity or quantity.endswith("_fraction") or quantity == "exponent"


def print_comparison(old: Path, new: Path, console: Console) -> int:
    """Prints the comparison of two folders or files of results.

    Args:
        old: Results of the old run.
        new: Results of the new run.
        console: Console to print to.

    Returns:
        1 if a quantity became slower, else 0.

    Raises:
        InputError: A path has no results of a run, or the two runs have no row in common.
    """
    comparisons = list(compare(read(old), read(new)))
    if not comparisons:
        raise InputError(f"--compare: {old} and {new} have no row in common")
    table = Table(box=None, pad_edge=False)
    for title in ("row", "new / old", "95 % interval", ""):
        table.add_column(title, justify="left" if title in ("row", "") else "right")
    for each in comparisons:
        style = {"slower": "red", "faster": "green"}.get(each.verdict)
        cells = (f"{each.ratio:.3f}", f"{each.low:.3f} – {each.high:.3f}", each.verdict)
        table.add_row(", ".join(each.name), *cells, style=style)
    console.print(table)
    slower = sum(each.verdict == "slower" for each in comparisons)
    console.print(f"{slower} of {len(comparisons)} became slower")
    return 1 if slower else 0
