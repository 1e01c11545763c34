"""Recipes: the experiments of the papers as configurations, and the figures that they report."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from serjax.report import PaperTable


class AntiTransferAt(NamedTuple):
    """Method and layer of a row of an anti-transfer sweep.

    Attributes:
        method: One of `serjax.anti_transfer.sweep.METHODS`.
        layer: Number of the convolution; None for the method "none".
    """

    method: str
    layer: int | None


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a paper's tables: a configuration and its protocol.

    Attributes:
        name: Name of the row's folder, and its name for `--only`.
        title: Title in the tables.
        config: Options of `serjax.training.RunConfig` by their short names. With `test_dataset` it
            is a cross-corpus test, and `split` separates training and validation set; with
            `anti_transfer` or `sweep_methods` it is one split; else a cross-validation by the
            protocol `split`. The `dataset` "joined" consists of the corpora named by its option
            `corpora`, whose folders are filled in; it is joined of those at hand, at least two.
        folds: Folds of the cross-validation; None: as many as the protocol has.
        anti_transfer: Method and layer of a run of an anti-transfer sweep.
        sweep_methods: Methods of an anti-transfer sweep over all layers.
        on_request: True for a row that only runs if `--only` names it.
        initialization: "optional": from the weights of `--init` or of the recipe's pretraining,
            if there are any; "given": from those of `--init` only; "required": the row is left
            out without either; "random".
        network: Name of the network for `--init`; None: its model.
        transfer: Further options of a row that starts from weights, such as `fresh` and `freeze`.
    """

    name: str
    title: str
    config: Mapping[str, Any]
    folds: int | None = None
    anti_transfer: AntiTransferAt | None = None
    sweep_methods: tuple[str, ...] = ()
    on_request: bool = False
    initialization: Literal["optional", "given", "required", "random"] = "optional"
    network: str | None = None
    transfer: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def is_sweep(self) -> bool:
        """True for one run, or all runs, of an anti-transfer sweep."""
        return self.anti_transfer is not None or bool(self.sweep_methods)

    @property
    def corpora(self) -> tuple[str, ...]:
        """Names of the corpora that the row needs."""
        names = [self.config[k] for k in ("dataset", "test_dataset") if k in self.config]
        if "joined" in names:
            return tuple(self.config["dataset_options"]["corpora"])
        return tuple(names)


@dataclasses.dataclass(frozen=True)
class Tuned:
    """Settings of our choice under a paper's protocol, not searched for yet: `--tuned`.

    Attributes:
        config: Options of a network's configuration that replace the paper's.
        members: Networks of each fold's ensemble.
    """

    config: Mapping[str, Any]
    members: int = 5


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The experiments of a paper.

    Attributes:
        title: Authors, title and place of publication.
        corpora: Files of each corpus on disk, and the page to get them from.
        rows: Rows of all tables.
        tables: Tables of the paper, in its order.
        deviations: Deviations from the paper, a sentence each.
        tuned: Settings of `--tuned`.
        small: Options of every network's configuration at `--scale small`.
        small_rows: Names of the rows that `--scale small` runs unless others are named; none: all.
        source_corpus: Corpus that trains the source-task networks of anti-transfer, if its folder
            is known.
        source_options: Options of its loader.
        pretraining: Options of the configuration of a run that rows start from; each row's model
            and model options complete it. It runs first if the folder of its corpus is known.
        elsewhere: Results of the paper that another command shows, a sentence each.
    """

    title: str
    corpora: Mapping[str, str]
    rows: tuple[Row, ...]
    tables: tuple[PaperTable, ...]
    deviations: tuple[str, ...]
    tuned: Tuned
    small: Mapping[str, Any]
    small_rows: tuple[str, ...] = ()
    source_corpus: str | None = None
    source_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    pretraining: Mapping[str, Any] | None = None
    elsewhere: tuple[str, ...] = ()


IEMOCAP = "the folder with Session1 to Session5, on request from https://sail.usc.edu/iemocap"
RAVDESS = "Audio_Speech_Actors_01-24.zip, https://zenodo.org/records/1188976"
TESS = "the folders OAF_angry and so on, https://doi.org/10.5683/SP2/E8H2MF"
VOXCELEB = "the folders id10001 and so on, https://www.robots.ox.ac.uk/~vgg/data/voxceleb"
