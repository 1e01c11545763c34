"""One file for each paper: what it did, as configurations, and what it reported."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of a paper's table.

    Attributes:
        name: Of the row's folder, and for `--only`.
        title: In the table.
        config: Fields of `serjax.training.RunConfig`. With `test_dataset` it is a test across
            corpora, else a cross-validation by the protocol `split`.
        published: Measures in per cent, by "wa", "ua", "f1_macro" or "f1_weighted".
        folds: Of the cross-validation; None: as many as the protocol has.
    """

    name: str
    title: str
    config: Mapping[str, Any]
    published: Mapping[str, float]
    folds: int | None = None


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A paper's experiments.

    Attributes:
        title: Authors, title, where it appeared.
        corpora: What each corpus needs on disk, and where it comes from.
        rows: Of its tables.
        deviations: Where this is not what the authors did, a sentence each.
        small: Fields of every row's configuration at `--scale small`.
    """

    title: str
    corpora: Mapping[str, str]
    rows: tuple[Row, ...]
    deviations: tuple[str, ...]
    small: Mapping[str, Any]
