"""Kinds of tables in papers, with the published results."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Figures:
    """Table with a row for each configuration and a column for each metric.

    Attributes:
        title: Title, as in the paper.
        published: Published values by row and then by metric, None where the paper's text does not
            give the value. Metrics: "wa", "ua", "f1_macro", "f1_weighted" on the test set, in per
            cent; "mean_wa", "mean_ua", the means over the folds; "train_wa", "validation_wa" (per
            cent), "train_loss", "validation_loss" (nats), each at its best epoch; "minutes" of
            training per fold; "megabytes" of weights in float32; "parameters" in millions; the
            name of a class for its recall, in per cent.
        others: Values of the systems that the paper compares itself with, in the same form.
    """

    title: str
    published: Mapping[str, Mapping[str, float | None]]
    others: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the rows."""
        return tuple(self.published)


@dataclasses.dataclass(frozen=True)
class PerClass:
    """Table of precision, recall and F1 of each class.

    Attributes:
        title: Title, as in the paper.
        published: Precision, recall and F1 in per cent, by row and then by class. The names
            "weighted mean" and "unweighted mean" stand for the means over the classes.
    """

    title: str
    published: Mapping[str, Mapping[str, tuple[float, float, float]]]

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the rows."""
        return tuple(self.published)


@dataclasses.dataclass(frozen=True)
class Confusion:
    """Confusion matrix, in per cent of the true class.

    Attributes:
        title: Title, as in the paper.
        row: Name of the row.
        classes: Classes of the published matrix.
        published: Per cent, rows true; None where the paper's text does not give the values.
    """

    title: str
    row: str
    classes: tuple[str, ...] = ()
    published: tuple[tuple[float, ...], ...] | None = None

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the rows."""
        return (self.row,)


@dataclasses.dataclass(frozen=True)
class Epochs:
    """Table of training epoch by epoch, as means over the folds.

    Attributes:
        title: Title, as in the paper.
        row: Name of the row.
        published: Values from the first epoch on, by column of `history.csv`: "train_loss",
            "validation_loss" (nats), "validation_wa" (per cent) and so on, or "learning_rate" of
            the last step; empty where the paper's text does not give them.
    """

    title: str
    row: str
    published: Mapping[str, tuple[float, ...]]

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the rows."""
        return (self.row,)


@dataclasses.dataclass(frozen=True)
class Curves:
    """Figure of accuracy and loss over the epochs, a line for each row.

    Attributes:
        title: Title, as in the paper.
        rows: Names of the rows.
        file: Name of the figure's file.
    """

    title: str
    rows: tuple[str, ...]
    file: str


@dataclasses.dataclass(frozen=True)
class LayerGains:
    """Figure of the accuracy that anti-transfer gains at each layer, mean over the rows.

    Attributes:
        title: Title, as in the paper.
        rows: Names of the rows, sweeps over all layers, of different corpora.
        file: Name of the figure's file.
    """

    title: str
    rows: tuple[str, ...]
    file: str


PaperTable = Figures | PerClass | Confusion | Epochs | Curves | LayerGains
"""Any kind of table."""
