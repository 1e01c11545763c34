"""One file for each paper: what it did, as configurations, and what it reported."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple


class AntiTransferAt(NamedTuple):
    """What a network unlearns, and where: a row of an anti-transfer sweep.

    Attributes:
        method: One of `serjax.training.sweep.METHODS`.
        layer: Number of the convolution; None of the method "none".
    """

    method: str
    layer: int | None


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of a paper's table.

    Attributes:
        name: Of the row's folder, and for `--only`.
        title: In the table.
        config: Fields of `serjax.training.RunConfig`. With `test_dataset` it is a test across
            corpora, with `anti_transfer` one division by `split`, else a cross-validation by the
            protocol `split`. `dataset` "joined" is the corpora named by its option `corpora`,
            whose folders are filled in.
        published: Figures in per cent, by "wa", "ua", "f1_macro" or "f1_weighted", or by a class,
            whose recall it is.
        folds: Of the cross-validation; None: as many as the protocol has.
        anti_transfer: Makes it a run of an anti-transfer sweep.
    """

    name: str
    title: str
    config: Mapping[str, Any]
    published: Mapping[str, float]
    folds: int | None = None
    anti_transfer: AntiTransferAt | None = None

    @property
    def corpora(self) -> tuple[str, ...]:
        """Names of the corpora that it needs."""
        named = [self.config[k] for k in ("dataset", "test_dataset") if k in self.config]
        if "joined" in named:
            return tuple(self.config["dataset_options"]["corpora"])
        return tuple(named)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A paper's experiments.

    Attributes:
        title: Authors, title, where it appeared.
        corpora: What each corpus needs on disk, and where it comes from.
        rows: Of its tables.
        deviations: Where this is not what the authors did, a sentence each.
        small: Fields of every network's configuration at `--scale small`.
        small_rows: Names of the rows that `--scale small` runs unless others are named; none: all.
        teachers: The corpus, which need not be there, that trains the teachers of anti-transfer.
        teacher_options: Of its loader.
    """

    title: str
    corpora: Mapping[str, str]
    rows: tuple[Row, ...]
    deviations: tuple[str, ...]
    small: Mapping[str, Any]
    small_rows: tuple[str, ...] = ()
    teachers: str | None = None
    teacher_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


IEMOCAP = "the folder with Session1 to Session5, on request from https://sail.usc.edu/iemocap"
RAVDESS = "Audio_Speech_Actors_01-24.zip, https://zenodo.org/records/1188976"
TESS = "the folders OAF_angry and so on, https://doi.org/10.5683/SP2/E8H2MF"
