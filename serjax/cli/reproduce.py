"""Run the experiments of a paper and make its tables with a column of our results.

    serjax reproduce deepika2025 --data-dir ravdess=RAVDESS --only ravdess-clean
    serjax reproduce kapoor --data-dir iemocap=IEMOCAP --init resnet50=resnet50.pth
    serjax reproduce padi2021 --bundled --scale small

Each recipe is a paper. Rows whose corpora are not given are left out, with a line on how to get
them; differences between a corpus and its published contents are printed before training. --bundled
runs everything on the bundled corpus of synthetic speech instead, which only shows that it runs.
--resume skips finished rows.
"""

import argparse
import dataclasses
import importlib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serjax.cli.execution import execute
from serjax.cli.parser import Parser
from serjax.errors import InputError, unknown_name

if TYPE_CHECKING:
    from serjax.console import Console
    from serjax.recipes import Recipe, Row
    from serjax.report import Outcome
    from serjax.training.config import RunConfig

RECIPES = ("deepika2025", "guizzo2023", "kapoor", "padi2021", "tiwari")
_SCALES = ("paper", "small")


def _parser() -> Parser:
    parser = Parser(__doc__, usage="%(prog)s RECIPE [options]")
    add = parser.add_argument
    add("recipe", metavar="RECIPE", help=f"Paper: {', '.join(RECIPES)}.")
    add(
        "--data-dir",
        action="append",
        default=[],
        metavar="CORPUS=DIR",
        help="Folder of a corpus; repeatable.",
    )
    add("--bundled", action="store_true", help="Use the bundled corpus instead of the paper's.")
    add(
        "--only",
        action="append",
        default=[],
        metavar="ROW",
        help="Run this row only, or those that a pattern such as 'ravdess-*' matches; repeatable.",
    )
    add(
        "--scale",
        default="paper",
        help="paper, or small: few rows, folds and epochs, small networks (default: %(default)s).",
    )
    add(
        "--tuned",
        action="store_true",
        help="Run each network with settings of our choice too, in rows of their own.",
    )
    add("--seed", type=int, default=0, metavar="N", help="Seed (default: %(default)s).")
    add(
        "--init",
        action="append",
        default=[],
        metavar="MODEL=RUN|FILE",
        help="Initial weights of a model, in every row; repeatable.",
    )
    add("--out", type=Path, metavar="DIR", help="Folder of the results (runs/RECIPE).")
    add("--resume", action="store_true", help="Resume in the folder.")
    return parser


def _pairs(flag: str, form: str, values: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """Reads the values of a flag of the form NAME=VALUE."""
    pairs = {}
    for text in values:
        name, separator, value = text.partition("=")
        if not separator:
            raise InputError(f"{flag}: expected {form}, found {text!r}")
        if name not in known:
            kind = form.partition("=")[0].lower()
            raise InputError(unknown_name(f"{kind} of this recipe", name, known))
        pairs[name] = value
    return pairs


@dataclasses.dataclass(frozen=True)
class _Plan:
    """Everything that a reproduction runs, checked before anything is trained."""

    recipe: "Recipe"
    folders: dict[str, str] | None
    rows: "list[tuple[Row, bool]]"
    configs: "list[RunConfig]"
    pretrainings: "Mapping[str, RunConfig]"
    deviations: list[str]
    folder: Path
    is_small: bool


def _plan(arguments: argparse.Namespace, console: "Console") -> _Plan:
    """Plans a reproduction and checks every configuration and split."""
    from serjax.recipes import plan
    from serjax.training.checks import check_config

    if arguments.recipe not in RECIPES:
        raise InputError(unknown_name("recipe", arguments.recipe, RECIPES))
    if arguments.scale not in _SCALES:
        raise InputError(unknown_name("scale", arguments.scale, _SCALES))
    recipe: Recipe = importlib.import_module(f"serjax.recipes.{arguments.recipe}").RECIPE
    is_small = arguments.scale == "small"
    folders: dict[str, str] | None = _pairs(
        "--data-dir", "CORPUS=DIR", arguments.data_dir, list(recipe.corpora)
    )
    networks = [plan.network_of(row) for row in recipe.rows if plan.is_network(row)]
    init = _pairs("--init", "MODEL=RUN|FILE", arguments.init, list(dict.fromkeys(networks)))
    if arguments.bundled:
        folders = None
    selected = plan.select_rows(recipe, arguments.only, folders, init, is_small, console)
    folder = arguments.out or Path("runs") / arguments.recipe
    pretrainings = plan.pretrainings(recipe, selected, folders, init, arguments.seed, is_small)
    for config in pretrainings.values():
        check_config(config)
    init |= {network: str(folder / "pretrained" / network) for network in pretrainings}
    kinds = (False, True) if arguments.tuned else (False,)
    rows = [
        (row, tuned) for row in selected for tuned in kinds if plan.is_network(row) or not tuned
    ]
    configs = [
        plan.configured(
            recipe, row, folders, seed=arguments.seed, init=init, small=is_small, tuned=tuned
        )
        for row, tuned in rows
    ]
    deviations = plan.deviating_corpora(folders or {})
    for line in deviations:
        console.print(line)
    plan.check_splits([row for row, _ in rows], configs, is_small)
    if folder.exists() and any(folder.iterdir()) and not arguments.resume:
        raise InputError(f"{folder}: expected a new or empty folder; continue it by --resume")
    return _Plan(recipe, folders, rows, configs, pretrainings, deviations, folder, is_small)


def _run_row(
    planned: _Plan, row: "Row", config: "RunConfig", tuned: bool, **options: Any
) -> tuple[Path, list[dict[str, object]]]:
    """Runs a row unless it is finished; returns the folder of its results, and those of a sweep."""
    from serjax import protocols
    from serjax.anti_transfer.sweep import Sweep, accuracies
    from serjax.recipes import AntiTransferAt, plan

    # Rows of a corpus share source networks, and dual methods start from the single ones.
    name = row.name
    if row.is_sweep:
        name = "-".join(filter(None, (row.config["dataset"], row.network)))
    place = planned.folder / (f"{name}-tuned" if tuned else name)
    if row.is_sweep:
        method, layer = row.anti_transfer or AntiTransferAt("", None)
        sweep = Sweep(
            config,
            models=(config.model.name,),
            methods=row.sweep_methods or (method,),
            layers=None if row.sweep_methods else (layer or 1,),
            splits=(config.data.split,),
            seeds=(config.seed,),
            source=_source(planned, config),
        )
        runs = sweep.run(place, **options)
        return Path(str(runs[-1]["folder"])), accuracies(runs) if row.sweep_methods else []
    if (place / "summary.json").exists():
        return place, []
    members = plan.members_of(planned.recipe, planned.is_small) if tuned else 1
    options = {**options, "out": place, "resume": place.exists(), "members": members}
    if config.data.test_dataset is not None:
        return protocols.cross_corpus(config, **options), []
    folds = plan.folds_of(row, planned.is_small)
    return protocols.cross_validate(config, folds=folds, **options), []


def _source(planned: _Plan, config: "RunConfig") -> "RunConfig | None":
    """Returns the configuration of source-task networks on a corpus of their own, if at hand."""
    corpus = planned.recipe.source_corpus
    if planned.folders is None or corpus not in planned.folders:
        return None
    return config.replace(
        dataset=corpus,
        data_dir=planned.folders[corpus],
        dataset_options=dict(planned.recipe.source_options),
        labels=None,
    )


def _run(planned: _Plan, console: "Console", command: list[str]) -> "dict[str, list[Outcome]]":
    """Runs all rows; returns the outcomes by row."""
    from serjax import report, training
    from serjax.training.run_folder.run_dir import is_finished

    options: dict[str, Any] = {"console": console, "command": command}
    for network, config in planned.pretrainings.items():
        place = planned.folder / "pretrained" / network
        if not is_finished(place):
            console.rule(f"pretraining of {network}")
            training.run(config, out=place, resume=place.exists(), **options)
    outcomes: dict[str, list[Outcome]] = {}
    for (row, tuned), config in zip(planned.rows, planned.configs, strict=True):
        title = f"{row.title}, tuned" if tuned else row.title
        console.rule(title)
        place, sweep = _run_row(planned, row, config, tuned, **options)
        outcome = report.read_outcome(place, title, published=not tuned)
        outcomes.setdefault(row.name, []).append(dataclasses.replace(outcome, sweep=sweep))
    return outcomes


def _listed(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items())


def _notes(planned: _Plan, command: Sequence[str], with_tuned: bool) -> list[str]:
    """Returns the sentences above the tables."""
    from serjax.files import portable
    from serjax.recipes import plan

    recipe = planned.recipe
    corpus = "the bundled corpus of synthetic speech" if planned.folders is None else "its corpora"
    shown = shlex.join(portable.shown(each) for each in command)
    notes = [f"`{shown}`, on {corpus}, with 95 % intervals."]
    if planned.is_small:
        rows = {row.name for row, _ in planned.rows}
        notes.append(
            f"At the small scale, which only shows that it runs: {len(rows)} of "
            f"{len(recipe.rows)} rows, at most {plan.FEWEST_FOLDS} folds, and "
            f"{_listed(recipe.small)}."
        )
    if with_tuned:
        members = plan.members_of(recipe, planned.is_small)
        notes.append(
            f"Rows named tuned are not the paper's: {_listed(recipe.tuned.config)}, and in "
            f"cross-validations the mean of {members} networks in each fold."
        )
    return [*notes, *planned.deviations]


def _markdown(
    planned: _Plan, outcomes: "Mapping[str, Sequence[Outcome]]", notes: Sequence[str]
) -> str:
    """Returns the page of all tables."""
    from serjax import report

    recipe = planned.recipe
    texts = (report.paper_markdown(table, outcomes, planned.folder) for table in recipe.tables)
    parts = [f"# {recipe.title}\n", *(f"{note}\n" for note in notes), *filter(None, texts)]
    for title, lines in (("Elsewhere", recipe.elsewhere), ("Deviations", recipe.deviations)):
        if lines:
            parts.append(f"## {title}\n\n" + "".join(f"- {line}\n" for line in lines))
    return "\n".join(parts)


def main() -> int:
    """Parses the command line and runs; returns the exit status."""
    arguments = _parser().parse_args()

    from serjax.console import Console
    from serjax.files import write_text_atomic

    console = Console()
    planned = _plan(arguments, console)

    def job(command: list[str]) -> None:
        outcomes = _run(planned, console, command)
        text = _markdown(planned, outcomes, _notes(planned, command, arguments.tuned))
        write_text_atomic(planned.folder / "table.md", text)
        for line in text.splitlines():
            console.print(line)

    return execute(job)
