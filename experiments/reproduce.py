"""Runs a paper's experiments and puts the outcome beside what the paper reports.

    python experiments/reproduce.py deepika2025 --data-dir ravdess=RAVDESS --only ravdess-clean
    python experiments/reproduce.py kapoor --data-dir iemocap=IEMOCAP --init resnet50=resnet50.pth
    python experiments/reproduce.py padi2021 --embedded --scale small

Each file in experiments/recipes is a paper. Rows whose corpora are not given are left out, with a
line on how to get them; what a corpus lacks of its published contents is told before anything is
trained. --embedded runs all on the corpus of synthetic speech instead, which shows that they run
and nothing else. Finished rows are not run again by --resume.
"""

from serjax.command import Parser, prefer_huge_pages, run_command

if __name__ == "__main__":
    prefer_huge_pages()  # before the imports that take long, for it starts over

import dataclasses
import importlib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recipes import Recipe, Row
from rich.console import Console

from serjax import data, models, report, training
from serjax.data.corpora import PUBLISHED
from serjax.data.describe import differences
from serjax.errors import InputError, unknown_name
from serjax.files import write_text_atomic
from serjax.training import arguments
from serjax.training.folder import is_finished
from serjax.training.sweep import Sweep

RECIPES = ("deepika2025", "guizzo2023", "kapoor", "padi2021", "tiwari")
_SCALES = ("paper", "small")
# Of the embedded corpus at the small scale: 72 utterances.
_FEW = {"speakers": 6, "words": 3}
# Other speakers, whose voices vary twice as much.
_OTHERS = {"seed": 1, "variation": 1.0}
_FEWEST_FOLDS = 3
_FEWEST_MEMBERS = 2


def _parser() -> Parser:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("recipe", help=", ".join(RECIPES))
    add(
        "--data-dir",
        action="append",
        default=[],
        metavar="CORPUS=DIR",
        help="where a corpus lies; once for each",
    )
    add("--embedded", action="store_true", help="on the embedded corpus instead of the paper's")
    add("--only", action="append", default=[], metavar="ROW", help="only this row; repeatable")
    add(
        "--scale",
        default="paper",
        help="paper, or small: few rows, folds and epochs, small networks (%(default)s)",
    )
    add(
        "--tuned",
        action="store_true",
        help="each network also with settings of our choice, in rows of their own",
    )
    add("--seed", type=int, default=0, help="(%(default)s)")
    add(
        "--init",
        action="append",
        default=[],
        metavar="MODEL=RUN|FILE",
        help="weights to start from, in every row of a model; once for each",
    )
    add("--out", type=Path, help="folder for the results (runs/RECIPE)")
    add("--resume", action="store_true", help="go on with what was interrupted in the folder")
    return parser


def _pairs(flag: str, meant: str, given: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """The values of a flag that is given as NAME=VALUE."""
    pairs = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator:
            raise InputError(f"{flag}: expected {meant}, found {text!r}")
        if name not in known:
            of = meant.partition("=")[0].lower()
            raise InputError(unknown_name(f"{of} of this recipe", name, known))
        pairs[name] = value
    return pairs


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
    if _is_network(row):
        if row.starts != "by chance":
            fields["initial"] = (initial or {}).get(_network(row))
        if tuned:
            fields |= recipe.tuned.config
        if small:
            fields = _reduced(fields, recipe.small)
    return training.RunConfig(**_placed(fields, row.corpora, folders, small))


def _network(row: Row) -> str:
    """What `--init` calls the row's network."""
    return row.network or row.config["model"]


def _is_network(row: Row) -> bool:
    return row.config["model"] in models.names()


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


def _pretrainings(
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
        network = _network(row)
        if row.starts == "by chance" or network in initial or network in found:
            continue
        own = {name: row.config[name] for name in ("model", "model_options") if name in row.config}
        config = {**fields, **own, "seed": seed}
        if small:
            config = _reduced(config, recipe.small)
        config = _placed(config, (fields["dataset"],), folders, small)
        if folders is None:  # not the voices that are tested
            config["dataset_options"] = {**config["dataset_options"], **_OTHERS}
        found[network] = training.RunConfig(**config)
    return found


def _chosen(
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
            network = _network(row)
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


def _lacking(folders: Mapping[str, str]) -> list[str]:
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


def _folds(row: Row, small: bool) -> int | None:
    return _FEWEST_FOLDS if small and row.folds else row.folds


def _check_divisions(
    rows: Sequence[Row], configs: Sequence[training.RunConfig], small: bool
) -> None:
    """Refuses what the last row cannot be divided into before the first is trained."""
    known = set()
    for row, config in zip(rows, configs, strict=True):
        one = row.anti_transfer is not None or config.test_dataset is not None
        folds = _folds(row, small)
        of = (config.dataset, config.test_dataset, config.labels, config.split)
        if (key := (of, one, folds, str(config.dataset_options))) in known:
            continue
        known.add(key)
        try:
            if one:
                training.check_division(config)
            else:
                training.check_folds(config, folds=folds)
        except InputError as error:
            raise InputError(f"{row.name}: {error}") from error


def _run(
    row: Row,
    config: training.RunConfig,
    place: Path,
    folds: int | None,
    members: int,
    teachers: training.RunConfig | None,
    **options: Any,
) -> Path:
    """Runs a row unless it is finished; returns the folder that its measures are in."""
    if row.anti_transfer is not None:
        method, layer = row.anti_transfer
        swept = Sweep(
            config,
            models=(config.model,),
            methods=(method,),
            layers=(layer or 1,),
            splits=(config.split,),
            seeds=(config.seed,),
            teachers=teachers,
        )
        return Path(str(swept.run(place, **options)[-1]["folder"]))
    if (place / "summary.json").exists():
        return place
    options = {**options, "out": place, "resume": place.exists(), "members": members}
    if config.test_dataset is not None:
        return training.cross_corpus(config, **options)
    return training.cross_validate(config, folds=folds, **options)


def _members(recipe: Recipe, small: bool) -> int:
    """Networks of the ensemble that each fold of a tuned row is."""
    return min(recipe.tuned.members, _FEWEST_MEMBERS) if small else recipe.tuned.members


def _place(folder: Path, row: Row, tuned: bool) -> Path:
    # Rows of a corpus share teachers, and dual methods the single ones that they go on from.
    name = row.name if row.anti_transfer is None else row.config["dataset"]
    return folder / (f"{name}-tuned" if tuned else name)


def _markdown(
    recipe: Recipe,
    outcomes: Mapping[str, Sequence[report.Outcome]],
    about: Sequence[str],
    folder: Path,
) -> str:
    parts = [f"# {recipe.title}\n", *(f"{each}\n" for each in about)]
    parts += [
        text for table in recipe.tables if (text := report.paper_markdown(table, outcomes, folder))
    ]
    for title, lines in (("Elsewhere", recipe.elsewhere), ("Deviations", recipe.deviations)):
        if lines:
            parts.append(f"## {title}\n\n" + "".join(f"- {line}\n" for line in lines))
    return "\n".join(parts)


def _plainly(fields: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in fields.items())


def main() -> int:
    """Parses the command line and runs; returns the exit status."""
    given = _parser().parse_args()
    if given.recipe not in RECIPES:
        raise InputError(unknown_name("recipe", given.recipe, RECIPES))
    if given.scale not in _SCALES:
        raise InputError(unknown_name("scale", given.scale, _SCALES))
    recipe: Recipe = importlib.import_module(f"recipes.{given.recipe}").RECIPE
    console = Console()
    small = given.scale == "small"
    folders: dict[str, str] | None = _pairs(
        "--data-dir", "CORPUS=DIR", given.data_dir, list(recipe.corpora)
    )
    networks = [_network(row) for row in recipe.rows if _is_network(row)]
    initial = _pairs("--init", "MODEL=RUN|FILE", given.init, list(dict.fromkeys(networks)))
    if given.embedded:
        folders = None
    rows = _chosen(recipe, given.only, folders, initial, small, console)
    folder = given.out or Path("runs") / given.recipe
    first = _pretrainings(recipe, rows, folders, initial, given.seed, small)
    for config in first.values():
        config.check()
    initial |= {network: str(folder / "pretrained" / network) for network in first}
    kinds = (False, True) if given.tuned else (False,)
    plan = [(row, tuned) for row in rows for tuned in kinds if _is_network(row) or not tuned]
    configs = [
        configured(recipe, row, folders, seed=given.seed, initial=initial, small=small, tuned=tuned)
        for row, tuned in plan
    ]
    lacking = _lacking(folders or {})
    for line in lacking:
        console.print(line, highlight=False, soft_wrap=True)
    _check_divisions([row for row, _ in plan], configs, small)
    if folder.exists() and any(folder.iterdir()) and not given.resume:
        raise InputError(f"{folder}: expected a new or empty folder; go on with it by --resume")

    def run(command: list[str]) -> None:
        options: dict[str, Any] = {"console": console, "command": command}
        for network, config in first.items():
            place = folder / "pretrained" / network
            if not is_finished(place):
                console.rule(f"pretraining of {network}")
                training.run(config, out=place, resume=place.exists(), **options)
        outcomes: dict[str, list[report.Outcome]] = {}
        for (row, tuned), config in zip(plan, configs, strict=True):
            title = f"{row.title}, tuned" if tuned else row.title
            console.rule(title)
            teachers = None
            if folders is not None and recipe.teachers in folders:
                teachers = dataclasses.replace(
                    config,
                    dataset=recipe.teachers,
                    data_dir=folders[recipe.teachers],
                    dataset_options=dict(recipe.teacher_options),
                    labels=None,
                )
            folds = _folds(row, small)
            members = _members(recipe, small) if tuned else 1
            place = _run(
                row, config, _place(folder, row, tuned), folds, members, teachers, **options
            )
            outcome = report.read_outcome(place, title, published=not tuned)
            outcomes.setdefault(row.name, []).append(outcome)
        where = "the embedded corpus of synthetic speech" if given.embedded else "its corpora"
        about = [f"`{shlex.join(command)}`, on {where}, with 95 % intervals."]
        if small:
            about.append(
                f"At the small scale, which shows that it runs: {len(rows)} of "
                f"{len(recipe.rows)} rows, at most {_FEWEST_FOLDS} folds, and "
                f"{_plainly(recipe.small)}."
            )
        if given.tuned:
            about.append(
                f"Rows named tuned are not the paper's: {_plainly(recipe.tuned.config)}, and of "
                f"cross-validations the mean of {_members(recipe, small)} networks in each fold."
            )
        text = _markdown(recipe, outcomes, [*about, *lacking], folder)
        write_text_atomic(folder / "table.md", text)
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    return arguments.run(run)


if __name__ == "__main__":
    run_command(main)
