"""Two runs on the same test utterances, side by side."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from serjax import metrics, significance
from serjax.errors import InputError
from serjax.files import PathLike
from serjax.report.files.records import Predictions, read_predictions
from serjax.report.tables.summary import METRIC_NAMES, drawn_whole, resampled


def compare(
    first: PathLike, second: PathLike, *, resamples: int = 10_000, seed: int = 0
) -> dict[str, Any]:
    """Compares the test parts of two runs, or of two cross-validations.

    Resamples are drawn over speakers, or over utterances where fewer than two speakers are known.
    A cross-validation of several seeds has as many answers to each utterance, which are drawn
    together; so must the other.

    Args:
        first: A folder with `predictions.csv`.
        second: Another one, of the same test utterances, each as often.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        `first` and `second` (their measures, shares in [0, 1]); `difference` (of each measure,
        first less second: `value`, `low` and `high` of the 95 % interval, `p` by paired
        bootstrap); `mcnemar` (`p` of the exact test of WA, which knows no repetitions: None where
        there are any); `utterances`, `answers`, `over`, `resamples`.

    Raises:
        InputError: A file is missing or malformed, the runs tested different utterances, or some
            of them more often, or `resamples` is below 1.
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
    answered, also = Counter(a.paths), Counter(b.paths)
    for path, count in answered.items():
        if also[path] != count:
            raise InputError(
                f"{first} and {second}: expected as many answers to each utterance, of equally "
                f"many seeds; found {count} and {also[path]} to {path}"
            )
    classes = sorted({*a.classes, *b.classes})
    place = {answer: i for i, answer in enumerate(_answers(b.paths))}
    rows = np.array([place[answer] for answer in _answers(a.paths)])
    true = _numbered(a, a.true, classes)
    for i in np.flatnonzero(true != _numbered(b, b.true, classes)[rows]):
        raise InputError(f"{first} and {second}: the true classes of {a.paths[int(i)]} differ")
    answers = _numbered(a, a.predicted, classes), _numbered(b, b.predicted, classes)[rows]
    over = resampled(a)
    differences = significance.paired_bootstrap(
        true,
        *answers,
        len(classes),
        resamples=resamples,
        seed=seed,
        groups=drawn_whole(a, over),
    )
    measured = []
    for predicted in answers:
        confusion = np.zeros((len(classes), len(classes)))
        np.add.at(confusion, (true, predicted), 1)
        measured.append({name: float(f(confusion)) for name, f in metrics.METRICS.items()})
    return {
        "first": measured[0],
        "second": measured[1],
        "difference": {
            name: {**each.interval._asdict(), "p": each.p} for name, each in differences.items()
        },
        "mcnemar": {"p": significance.mcnemar(true, *answers)}
        if len(answered) == len(true)
        else None,
        "utterances": len(answered),
        "answers": len(true),
        "over": over,
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
    for key, name in METRIC_NAMES.items():
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
    how = (
        f"{comparison['utterances']:,} utterances, {comparison['answers']:,} answers; interval and "
        f"p by paired bootstrap over {comparison['over']}, {comparison['resamples']:,} resamples"
    )
    if comparison["mcnemar"] is not None:
        how += f"; McNemar's exact test of WA, over utterances: p {_p(comparison['mcnemar']['p'])}"
    console.print(how, highlight=False, soft_wrap=True)


def _test(folder: PathLike) -> Predictions:
    """The test part of a run."""
    path = Path(folder) / "predictions.csv"
    test = read_predictions(path).of_split("test")
    if not len(test):
        raise InputError(f"{path}: expected utterances of part test, found none")
    return test


def _answers(paths: Sequence[str]) -> list[tuple[str, int]]:
    """Each utterance with the number of its answer: the first to it, the second, and so on."""
    before: Counter[str] = Counter()
    answers = []
    for path in paths:
        answers.append((path, before[path]))
        before[path] += 1
    return answers


def _numbered(predictions: Predictions, labels: np.ndarray, classes: list[str]) -> np.ndarray:
    """Labels as indices into the classes of both runs."""
    return np.array([classes.index(name) for name in predictions.classes])[labels]


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"
