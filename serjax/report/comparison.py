"""Two runs on the same test utterances, side by side."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from serjax import metrics, significance
from serjax.errors import InputError
from serjax.files import PathLike
from serjax.report.records import Predictions, read_predictions
from serjax.report.summary import NAMES


def compare(
    first: PathLike, second: PathLike, *, resamples: int = 10_000, seed: int = 0
) -> dict[str, Any]:
    """Compares the test parts of two runs, or of two cross-validations.

    Resamples are drawn over speakers, or over utterances where fewer than two speakers are known.

    Args:
        first: A folder with `predictions.csv`.
        second: Another one, of the same test utterances.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        `first` and `second` (their measures, shares in [0, 1]); `difference` (of each measure,
        first less second: `value`, `low` and `high` of the 95 % interval, `p` by paired
        bootstrap); `mcnemar` (`p` of the exact test of WA); `utterances`, `over`, `resamples`.

    Raises:
        InputError: A file is missing or malformed, the runs tested different utterances, or
            any of them twice, or `resamples` is below 1.
    """
    if resamples < 1:
        raise InputError(f"resamples: expected at least 1, found {resamples}")
    a, b = (_test(folder) for folder in (first, second))
    for here, there, folder, other in ((a, b, first, second), (b, a, second, first)):
        missing = sorted(set(here.paths) - set(there.paths))
        if missing:
            raise InputError(
                f"{folder} and {other}: expected the same test utterances; {len(missing)} are "
                f"only in {folder}, such as {missing[0]}"
            )
    classes = sorted({*a.classes, *b.classes})
    place = {path: i for i, path in enumerate(b.paths)}
    rows = np.array([place[path] for path in a.paths])
    true = _numbered(a, a.true, classes)
    for i in np.flatnonzero(true != _numbered(b, b.true, classes)[rows]):
        raise InputError(f"{first} and {second}: the true classes of {a.paths[int(i)]} differ")
    answers = _numbered(a, a.predicted, classes), _numbered(b, b.predicted, classes)[rows]
    by_speaker = len(set(a.speakers)) > 1
    differences = significance.paired_bootstrap(
        true,
        *answers,
        len(classes),
        resamples=resamples,
        seed=seed,
        groups=np.asarray(a.speakers) if by_speaker else None,
    )
    measured = []
    for predicted in answers:
        confusion = np.zeros((len(classes), len(classes)))
        np.add.at(confusion, (true, predicted), 1)
        measured.append({name: float(f(confusion)) for name, f in metrics.MEASURES.items()})
    return {
        "first": measured[0],
        "second": measured[1],
        "difference": {
            name: {**each.interval._asdict(), "p": each.p} for name, each in differences.items()
        },
        "mcnemar": {"p": significance.mcnemar(true, *answers)},
        "utterances": len(true),
        "over": "speakers" if by_speaker else "utterances",
        "resamples": resamples,
    }


def print_comparison(
    console: Console, comparison: Mapping[str, Any], first: PathLike, second: PathLike
) -> None:
    """Prints what `compare` found.

    Args:
        console: Where to print.
        comparison: From `compare`.
        first: Name of the first run.
        second: Name of the second run.
    """
    table = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, pad_edge=False)
    table.add_column("")
    for name in ("A %", "B %", "A - B", "95 % interval", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    for key, name in NAMES.items():
        found = comparison["difference"][key]
        table.add_row(
            name,
            f"{100 * comparison['first'][key]:.1f}",
            f"{100 * comparison['second'][key]:.1f}",
            f"{100 * found['value']:+.1f}",
            f"{100 * found['low']:+.1f} to {100 * found['high']:+.1f}",
            _p(found["p"]),
        )
    console.print(f"A {first}\nB {second}\n", highlight=False, markup=False, soft_wrap=True)
    console.print(table)
    console.print(
        f"{comparison['utterances']:,} utterances; interval and p by paired bootstrap over "
        f"{comparison['over']}, {comparison['resamples']:,} resamples; "
        f"McNemar's exact test of WA, over utterances: p {_p(comparison['mcnemar']['p'])}",
        highlight=False,
        soft_wrap=True,
    )


def _test(folder: PathLike) -> Predictions:
    """The test part of a run, each utterance once."""
    path = Path(folder) / "predictions.csv"
    test = read_predictions(path).of_part("test")
    if not len(test):
        raise InputError(f"{path}: expected utterances of part test, found none")
    seen: set[str] = set()
    for each in test.paths:
        if each in seen:
            raise InputError(f"{path}: expected each utterance once, as of one seed; found {each}")
        seen.add(each)
    return test


def _numbered(predictions: Predictions, labels: np.ndarray, classes: list[str]) -> np.ndarray:
    """Labels as indices into the classes of both runs."""
    return np.array([classes.index(name) for name in predictions.classes])[labels]


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"
