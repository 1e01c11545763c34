"""One file for each paper: what it did, as configurations, and what it reported."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from serjax.report import PaperTable


class AntiTransferAt(NamedTuple):
    """What a network unlearns, and where: a row of an anti-transfer sweep.

    Attributes:
        method: One of `serjax.anti_transfer.sweep.METHODS`.
        layer: Number of the convolution; None of the method "none".
    """

    method: str
    layer: int | None


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of a paper's tables: a configuration, and how it is tested.

    Attributes:
        name: Of the row's folder, and for `--only`.
        title: In the tables.
        config: Fields of `serjax.training.RunConfig`. With `test_dataset` it is a test across
            corpora, and `split` is what training and validation do not share; with
            `anti_transfer` one division by `split`; else a cross-validation by the protocol
            `split`. `dataset` "joined" is the corpora named by its option `corpora`, whose
            folders are filled in.
        folds: Of the cross-validation; None: as many as the protocol has.
        anti_transfer: Makes it a run of an anti-transfer sweep.
        starts: From weights "if given" by `--init` or made by the recipe's pretraining; from those
            "given", without which the row is left out; or "by chance".
        network: What `--init` calls its network; None: its model.
    """

    name: str
    title: str
    config: Mapping[str, Any]
    folds: int | None = None
    anti_transfer: AntiTransferAt | None = None
    starts: Literal["if given", "given", "by chance"] = "if given"
    network: str | None = None

    @property
    def corpora(self) -> tuple[str, ...]:
        """Names of the corpora that it needs."""
        named = [self.config[k] for k in ("dataset", "test_dataset") if k in self.config]
        if "joined" in named:
            return tuple(self.config["dataset_options"]["corpora"])
        return tuple(named)


@dataclasses.dataclass(frozen=True)
class Tuned:
    """Settings of our choice, not searched for yet, under a paper's protocol: `--tuned`.

    Attributes:
        config: Fields of a network's configuration, in place of the paper's.
        members: Networks of the ensemble that each fold is.
    """

    config: Mapping[str, Any]
    members: int = 5


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A paper's experiments.

    Attributes:
        title: Authors, title, where it appeared.
        corpora: What each corpus needs on disk, and where it comes from.
        rows: All that the tables show.
        tables: The paper's, in its order.
        deviations: Where this is not what the authors did, a sentence each.
        tuned: What `--tuned` changes.
        small: Fields of every network's configuration at `--scale small`.
        small_rows: Names of the rows that `--scale small` runs unless others are named; none: all.
        teachers: The corpus, which need not be there, that trains the teachers of anti-transfer.
        teacher_options: Of its loader.
        pretraining: Fields of the configuration of a run that rows start from, its model and
            options left open. It is done first where its corpus, which need not be there, is.
        elsewhere: What of the paper another command shows, a sentence each.
    """

    title: str
    corpora: Mapping[str, str]
    rows: tuple[Row, ...]
    tables: tuple[PaperTable, ...]
    deviations: tuple[str, ...]
    tuned: Tuned
    small: Mapping[str, Any]
    small_rows: tuple[str, ...] = ()
    teachers: str | None = None
    teacher_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    pretraining: Mapping[str, Any] | None = None
    elsewhere: tuple[str, ...] = ()


IEMOCAP = "the folder with Session1 to Session5, on request from https://sail.usc.edu/iemocap"
RAVDESS = "Audio_Speech_Actors_01-24.zip, https://zenodo.org/records/1188976"
TESS = "the folders OAF_angry and so on, https://doi.org/10.5683/SP2/E8H2MF"
VOXCELEB = "the folders id10001 and so on, https://www.robots.ox.ac.uk/~vgg/data/voxceleb"
