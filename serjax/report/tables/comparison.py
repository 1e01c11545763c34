"""Comparison of two runs on the same test utterances."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from serjax import metrics, significance
from serjax.console import Console
from serjax.data import Identity
from serjax.errors import InputError
from serjax.files import PathLike
from serjax.report.files.predictions import Predictions, read_predictions
from serjax.report.tables.layout import console_table
from serjax.report.tables.summary import METRIC_NAMES, bootstrap_groups, bootstrap_unit


def compare(
    first: PathLike, second: PathLike, *, resamples: int = 10_000, seed: int = 0
) -> dict[str, Any]:
    """Compares the test results of two runs, or of two cross-validations.

    The bootstrap resamples speakers, or utterances if fewer than two speakers are known. A
    cross-validation with several seeds has one prediction per seed for each utterance. They are
    resampled together, and both cross-validations need the same number of seeds.

    Args:
        first: Folder with `predictions.csv`.
        second: Folder with `predictions.csv` for the same test utterances, each the same number of
            times.
        resamples: Number of bootstrap resamples.
        seed: Seed of the bootstrap.

    Returns:
        `first` and `second` (the metrics of each, fractions in [0, 1]); `difference` (for each
        metric, first minus second: `value`, `low` and `high` of the 95 % interval, `p` by paired
        bootstrap); `mcnemar` (`p` of the exact test of WA; None if there are several predictions
        for an utterance, which the test does not cover); `utterances`, `predictions` (numbers of
        them), `over` and `resamples` (unit and number of the resamples).

    Raises:
        InputError: A file is missing or malformed, the runs have different test utterances or
            different numbers of predictions for them, or `resamples` is below 1.
    """
    if resamples < 1:
        raise InputError(f"resamples: expected at least 1, found {resamples}")
    a, b = (_read_test(folder) for folder in (first, second))
    for here, there, folder, other in ((a, b, first, second), (b, a, second, first)):
        missing = sorted(set(here.utterances) - set(there.utterances))
        if missing:
            raise InputError(
                f"{folder} and {other}: expected the same test utterances; {len(missing)} are "
                f"only in {folder}, such as {missing[0]}"
            )
    counts_a, counts_b = Counter(a.utterances), Counter(b.utterances)
    for utterance, count in counts_a.items():
        if counts_b[utterance] != count:
            raise InputError(
                f"{first} and {second}: expected the same number of predictions for each "
                f"utterance, from the same number of seeds; found {count} and "
                f"{counts_b[utterance]} for {utterance}"
            )
    classes = sorted({*a.classes, *b.classes})
    row_in_b = {key: i for i, key in enumerate(_keys(b.utterances))}
    rows = np.array([row_in_b[key] for key in _keys(a.utterances)])
    true = _class_indices(a, a.true, classes)
    for i in np.flatnonzero(true != _class_indices(b, b.true, classes)[rows]):
        utterance = a.utterances[int(i)]
        raise InputError(f"{first} and {second}: the true classes of {utterance} differ")
    predicted_a = _class_indices(a, a.predicted, classes)
    predicted_b = _class_indices(b, b.predicted, classes)[rows]
    over = bootstrap_unit(a)
    differences = significance.paired_bootstrap(
        true,
        predicted_a,
        predicted_b,
        len(classes),
        resamples=resamples,
        seed=seed,
        groups=bootstrap_groups(a, over),
    )
    has_repetitions = len(counts_a) < len(true)
    return {
        "first": _measure(true, predicted_a, len(classes)),
        "second": _measure(true, predicted_b, len(classes)),
        "difference": {
            name: {**each.interval._asdict(), "p": each.p} for name, each in differences.items()
        },
        "mcnemar": None
        if has_repetitions
        else {"p": significance.mcnemar(true, predicted_a, predicted_b)},
        "utterances": len(counts_a),
        "predictions": len(true),
        "over": over,
        "resamples": resamples,
    }


def print_comparison(
    console: Console, comparison: Mapping[str, Any], first: PathLike, second: PathLike
) -> None:
    """Prints the comparison of two runs.

    Args:
        console: Console to print on.
        comparison: Comparison, as returned by `compare`.
        first: Name of the first run.
        second: Name of the second run.
    """
    table = console_table(console, ["", "A %", "B %", "A - B", "95 % interval", "p"])
    for key, name in METRIC_NAMES.items():
        difference = comparison["difference"][key]
        table.add_row(
            name,
            f"{100 * comparison['first'][key]:.1f}",
            f"{100 * comparison['second'][key]:.1f}",
            f"{100 * difference['value']:+.1f}",
            f"{100 * difference['low']:+.1f} to {100 * difference['high']:+.1f}",
            _p(difference["p"]),
        )
    console = Console.of(console)
    console.print(f"A {first}")
    console.print(f"B {second}")
    console.print()
    console.print(table)
    footnote = (
        f"{comparison['utterances']:,} utterances, {comparison['predictions']:,} predictions; "
        f"interval and p by paired bootstrap over {comparison['over']}, "
        f"{comparison['resamples']:,} resamples"
    )
    if comparison["mcnemar"] is not None:
        footnote += (
            f"; McNemar's exact test of WA, over utterances: p {_p(comparison['mcnemar']['p'])}"
        )
    console.print(footnote)


def _read_test(folder: PathLike) -> Predictions:
    """Reads the predictions of a run for its test set."""
    path = Path(folder) / "predictions.csv"
    test = read_predictions(path).of_split("test")
    if not len(test):
        raise InputError(f"{path}: expected utterances of split test, found none")
    return test


def _keys(utterances: Sequence[Identity]) -> list[tuple[Identity, int]]:
    """Returns each prediction's utterance, and its number among the predictions for it."""
    numbers: Counter[Identity] = Counter()
    keys = []
    for utterance in utterances:
        keys.append((utterance, numbers[utterance]))
        numbers[utterance] += 1
    return keys


def _measure(true: np.ndarray, predicted: np.ndarray, num_classes: int) -> dict[str, float]:
    """Returns the metrics of predictions, by name."""
    confusion = np.zeros((num_classes, num_classes))
    np.add.at(confusion, (true, predicted), 1)
    return {name: float(metric(confusion)) for name, metric in metrics.METRICS.items()}


def _class_indices(predictions: Predictions, labels: np.ndarray, classes: list[str]) -> np.ndarray:
    """Returns labels as indices into the classes of both runs."""
    return np.array([classes.index(name) for name in predictions.classes])[labels]


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"
