"""What a recipe comes to on the corpora at hand: which rows, and the configuration of each."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from serjax import data, models, protocols, training
from serjax.data.corpora import PUBLISHED
from serjax.data.describe import differences
from serjax.errors import InputError, unknown_name
from serjax.recipes import Recipe, Row

# Of the embedded corpus at the small scale: 72 utterances.
_FEW = {"speakers": 6, "words": 3}
# Other speakers, whose voices vary twice as much.
_OTHERS = {"seed": 1, "variation": 1.0}
FEWEST_FOLDS = 3
_FEWEST_MEMBERS = 2


def network_of(row: Row) -> str:
    """What `--init` calls the row's network."""
    return row.network or row.config["model"]


def is_network(row: Row) -> bool:
    """Whether the row is of a network, not of a classical model."""
    return row.config["model"] in models.names()


def configured(
    recipe: Recipe,
    row: Row,
    folders: Mapping[str, str] | None,
    *,
    seed: int = 0,
    initial: Mapping[str, str] | None = None,
    small: bool = False,
    tuned: bool = False,
) -> training.RunConfig:
    """A row's configuration on the corpora at hand.

    Args:
        recipe: The row's.
        row: What to run.
        folders: Where each corpus lies; None: the embedded corpus in place of all.
        seed: Of everything random.
        initial: Weights to start from, by network.
        small: Whether to run as little as shows that it works.
        tuned: Whether the recipe's own settings take the place of the paper's.
    """
    fields: dict[str, Any] = {**row.config, "seed": seed}
    if is_network(row):
        if row.starts != "by chance":
            fields["initial"] = (initial or {}).get(network_of(row))
        if tuned:
            fields |= recipe.tuned.config
        if small:
            fields = _reduced(fields, recipe.small)
    return training.RunConfig.make(**_placed(fields, row.corpora, folders, small))


def _reduced(fields: Mapping[str, Any], small: Mapping[str, Any]) -> dict[str, Any]:
    options = {**fields.get("model_options", {}), **small.get("model_options", {})}
    return {**fields, **small, "model_options": options}


def _placed(
    fields: Mapping[str, Any],
    corpora: Sequence[str],
    folders: Mapping[str, str] | None,
    small: bool,
) -> dict[str, Any]:
    """The fields with the corpora's folders, or with the embedded corpus."""
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
    initial: Mapping[str, str],
    seed: int,
    small: bool,
) -> dict[str, training.RunConfig]:
    """The runs that rows start from, by network: none where weights or no corpus are given."""
    fields = recipe.pretraining
    if fields is None or (folders is not None and fields["dataset"] not in folders):
        return {}
    found = {}
    for row in rows:
        network = network_of(row)
        if row.starts == "by chance" or network in initial or network in found:
            continue
        own = {name: row.config[name] for name in ("model", "model_options") if name in row.config}
        config = {**fields, **own, "seed": seed}
        if small:
            config = _reduced(config, recipe.small)
        config = _placed(config, (fields["dataset"],), folders, small)
        if folders is None:  # not the voices that are tested
            config["dataset_options"] = {**config["dataset_options"], **_OTHERS}
        found[network] = training.RunConfig.make(**config)
    return found


def chosen(
    recipe: Recipe,
    only: Sequence[str],
    folders: Mapping[str, str] | None,
    initial: Mapping[str, str],
    small: bool,
    console: Console,
) -> list[Row]:
    """The rows that are asked for, and whose corpora and weights are there or can be made."""
    names = [row.name for row in recipe.rows]
    for name in only:
        if name not in names:
            raise InputError(unknown_name("row", name, names))
    wanted = only or (recipe.small_rows if small else ()) or names
    pretrained_on = recipe.pretraining["dataset"] if recipe.pretraining else None
    makes_weights = folders is None or pretrained_on in folders
    rows = []
    told: set[str] = set()
    for row in recipe.rows:
        if row.name not in wanted:
            continue
        missing = [] if folders is None else [c for c in row.corpora if c not in folders]
        if not missing:
            network = network_of(row)
            if row.starts == "given" and network not in initial and not makes_weights:
                console.print(
                    f"left out {row.name}: no --init {network}=RUN, and no {pretrained_on}",
                    highlight=False,
                )
                told.add(str(pretrained_on))
            else:
                rows.append(row)
            continue
        console.print(f"left out {row.name}: no {', '.join(missing)}", highlight=False)
        told |= set(missing)
    for corpus in sorted(told):
        console.print(
            f"{corpus}: --data-dir {corpus}=DIR: {recipe.corpora[corpus]}",
            highlight=False,
            soft_wrap=True,
        )
    if not rows:
        raise InputError(
            "nothing to run: give a corpus by --data-dir CORPUS=DIR, or try --embedded"
        )
    return rows


def folds_of(row: Row, small: bool) -> int | None:
    """Folds of the row's cross-validation; None: those of its protocol."""
    return FEWEST_FOLDS if small and row.folds else row.folds


def members_of(recipe: Recipe, small: bool) -> int:
    """Networks of the ensemble that each fold of a tuned row is."""
    return min(recipe.tuned.members, _FEWEST_MEMBERS) if small else recipe.tuned.members


def check_divisions(
    rows: Sequence[Row], configs: Sequence[training.RunConfig], small: bool
) -> None:
    """Refuses what the last row cannot be divided into before the first is trained."""
    known = set()
    for row, config in zip(rows, configs, strict=True):
        one = row.anti_transfer is not None or config.data.test_dataset is not None
        folds = folds_of(row, small)
        of = (config.data.dataset, config.data.test_dataset, config.data.labels, config.data.split)
        if (key := (of, one, folds, str(config.data.dataset_options))) in known:
            continue
        known.add(key)
        try:
            if one:
                training.check_division(config)
            else:
                protocols.check_folds(config, folds=folds)
        except InputError as error:
            raise InputError(f"{row.name}: {error}") from error


def lacking(folders: Mapping[str, str]) -> list[str]:
    """What the corpora hold otherwise than published, a line each.

    Raises:
        CorpusError: A folder does not hold its corpus.
    """
    lines = []
    for name, folder in folders.items():
        corpus = data.load(name, folder)
        found = list(differences(corpus, PUBLISHED[name])) if name in PUBLISHED else []
        if found:
            counts = "; ".join(f"{what} {here:,} of {there:,}" for what, here, there in found)
            lines.append(f"{name} is not as published: {counts}")
    return lines
