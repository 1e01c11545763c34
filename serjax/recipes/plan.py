"""Plan of a recipe: its rows on the corpora at hand, and the configuration of each."""

import dataclasses
import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

from serjax import data, models, protocols
from serjax.console import Console
from serjax.data.corpora import PUBLISHED
from serjax.data.describe import differences
from serjax.errors import InputError, unknown_name
from serjax.recipes import Recipe, Row
from serjax.training.config import RunConfig
from serjax.training.input.recordings import check_split

# Options of the bundled corpus at the small scale: 72 utterances.
_FEW = {"speakers": 6, "words": 3}
# Options of other speakers, whose voices vary twice as much.
_OTHERS = {"seed": 1, "variation": 1.0}
FEWEST_FOLDS = 3
_FEWEST_JOINED = 2
_FEWEST_MEMBERS = 2


def network_of(row: Row) -> str:
    """Returns the name of the row's network for `--init`."""
    return row.network or row.config["model"]


def is_network(row: Row) -> bool:
    """Returns True for a row of a network, False for one of a classical model."""
    return row.config["model"] in models.names()


def configured(
    recipe: Recipe,
    row: Row,
    folders: Mapping[str, str] | None,
    *,
    seed: int = 0,
    init: Mapping[str, str] | None = None,
    small: bool = False,
    tuned: bool = False,
) -> RunConfig:
    """Makes a row's configuration on the corpora at hand.

    Args:
        recipe: Recipe of the row.
        row: Row to run.
        folders: Folder of each corpus; None: the bundled corpus replaces all of them.
        seed: Seed of everything random.
        init: Initial weights by network.
        small: Reduces the run to the least that shows that it works.
        tuned: Replaces the paper's settings by the recipe's own.
    """
    fields: dict[str, Any] = {**row.config, "seed": seed}
    if is_network(row):
        if row.initialization != "random":
            fields["init"] = (init or {}).get(network_of(row))
            if fields["init"] is not None:
                fields |= row.transfer
        if tuned:
            fields |= recipe.tuned.config
            if fields.get("schedule") != "step_decay":  # of the paper's schedule only
                fields.pop("step_decay", None)
        if small:
            fields = _reduced(fields, recipe.small)
    return RunConfig.make(**_placed(fields, row.corpora, folders, small))


def _reduced(fields: Mapping[str, Any], small: Mapping[str, Any]) -> dict[str, Any]:
    options = {**fields.get("model_options", {}), **small.get("model_options", {})}
    return {**fields, **small, "model_options": options}


def _placed(
    fields: Mapping[str, Any],
    corpora: Sequence[str],
    folders: Mapping[str, str] | None,
    small: bool,
) -> dict[str, Any]:
    """Adds the folders of the corpora, or replaces them by the bundled corpus."""
    placed = dict(fields)
    if folders is None:
        few = _FEW if small else {}
        placed |= {"dataset": "synthetic", "labels": None, "dataset_options": few}
        if "test_dataset" in placed:
            placed |= {"test_dataset": "synthetic", "test_dataset_options": {**few, **_OTHERS}}
    elif placed["dataset"] == "joined":
        placed["dataset_options"] = {"corpora": {name: folders[name] for name in corpora}}
    else:
        placed["data_dir"] = folders[placed["dataset"]]
        if "test_dataset" in placed:
            placed["test_dir"] = folders[placed["test_dataset"]]
    return placed


def pretrainings(
    recipe: Recipe,
    rows: Sequence[Row],
    folders: Mapping[str, str] | None,
    init: Mapping[str, str],
    seed: int,
    small: bool,
) -> dict[str, RunConfig]:
    """Makes the configurations of the runs that rows start from, by network.

    There are none for networks with given weights, or without the folder of the corpus.
    """
    fields = recipe.pretraining
    if fields is None or (folders is not None and fields["dataset"] not in folders):
        return {}
    configs = {}
    for row in rows:
        network = network_of(row)
        if row.initialization in ("random", "given") or network in init or network in configs:
            continue
        names = ("model", "model_options", "embedding")
        model = {name: row.config[name] for name in names if name in row.config}
        config = {**fields, **model, "seed": seed}
        if small:
            config = _reduced(config, recipe.small)
        config = _placed(config, (fields["dataset"],), folders, small)
        if folders is None:  # other voices than those of the test set
            config["dataset_options"] = {**config["dataset_options"], **_OTHERS}
        configs[network] = RunConfig.make(**config)
    return configs


def select_rows(
    recipe: Recipe,
    only: Sequence[str],
    folders: Mapping[str, str] | None,
    init: Mapping[str, str],
    small: bool,
    console: Console,
) -> list[Row]:
    """Selects the requested rows whose corpora and weights are at hand or can be made.

    What is left out is printed with the reason.
    """
    wanted = _wanted(recipe, only, small)
    pretrained_on = recipe.pretraining["dataset"] if recipe.pretraining else None
    makes_weights = folders is None or pretrained_on in folders
    rows = []
    missing_corpora: set[str] = set()
    for row in recipe.rows:
        if row.name not in wanted:
            continue
        missing = [] if folders is None else [c for c in row.corpora if c not in folders]
        missing_corpora |= set(missing)
        if missing and len(row.corpora) - len(missing) >= _FEWEST_JOINED:
            console.print(f"{row.name} runs without {', '.join(missing)}")
            row, missing = _without_corpora(row, missing), []
        if not missing:
            network = network_of(row)
            if row.initialization == "required" and network not in init and not makes_weights:
                console.print(
                    f"left out {row.name}: no --init {network}=RUN, and no {pretrained_on}",
                )
                missing_corpora.add(str(pretrained_on))
            else:
                rows.append(row)
            continue
        console.print(f"left out {row.name}: no {', '.join(missing)}")
    for corpus in sorted(missing_corpora):
        console.print(
            f"{corpus}: --data-dir {corpus}=DIR: {recipe.corpora[corpus]}",
        )
    if not rows:
        raise InputError("nothing to run: give a corpus by --data-dir CORPUS=DIR, or try --bundled")
    return rows


def _wanted(recipe: Recipe, only: Sequence[str], small: bool) -> set[str]:
    """Returns the names of the requested rows: those that a pattern matches, or the usual ones."""
    names = [row.name for row in recipe.rows]
    wanted: set[str] = set()
    for pattern in only:
        matching = fnmatch.filter(names, pattern)
        if not matching:
            raise InputError(unknown_name("row", pattern, names))
        wanted |= set(matching)
    if wanted:
        return wanted
    if small and recipe.small_rows:
        return set(recipe.small_rows)
    return {row.name for row in recipe.rows if not row.on_request}


def _without_corpora(row: Row, missing: Sequence[str]) -> Row:
    """Returns a row of joined corpora without some of them, which its title names."""
    options = row.config["dataset_options"]
    corpora = {name: folder for name, folder in options["corpora"].items() if name not in missing}
    config = {**row.config, "dataset_options": {**options, "corpora": corpora}}
    return dataclasses.replace(
        row, title=f"{row.title}, without {', '.join(missing)}", config=config
    )


def folds_of(row: Row, small: bool) -> int | None:
    """Returns the folds of the row's cross-validation; None: those of its protocol."""
    return FEWEST_FOLDS if small and row.folds else row.folds


def members_of(recipe: Recipe, small: bool) -> int:
    """Returns the number of networks in the ensemble of each fold of a tuned row."""
    return min(recipe.tuned.members, _FEWEST_MEMBERS) if small else recipe.tuned.members


def check_splits(rows: Sequence[Row], configs: Sequence[RunConfig], small: bool) -> None:
    """Checks that the corpus of every row can be split, before the first row is trained."""
    known = set()
    for row, config in zip(rows, configs, strict=True):
        is_single = row.is_sweep or config.data.test_dataset is not None
        folds = folds_of(row, small)
        corpora = (
            config.data.dataset,
            config.data.test_dataset,
            config.data.labels,
            config.data.split,
        )
        if (key := (corpora, is_single, folds, str(config.data.dataset_options))) in known:
            continue
        known.add(key)
        try:
            if is_single:
                check_split(config)
            else:
                protocols.check_folds(config, folds=folds)
        except InputError as error:
            raise InputError(f"{row.name}: {error}") from error


def deviating_corpora(folders: Mapping[str, str]) -> list[str]:
    """Describes how the corpora differ from their published contents, a line each.

    Raises:
        CorpusError: A folder does not hold its corpus.
    """
    lines = []
    for name, folder in folders.items():
        corpus = data.load(name, folder)
        counts = list(differences(corpus, PUBLISHED[name])) if name in PUBLISHED else []
        if counts:
            listed = "; ".join(f"{what} {here:,} of {there:,}" for what, here, there in counts)
            lines.append(f"{name} is not as published: {listed}")
    return lines
