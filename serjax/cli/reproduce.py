"""Runs a paper's experiments and puts the outcome beside what the paper reports.

    python experiments/reproduce.py deepika2025 --data-dir ravdess=RAVDESS --only ravdess-clean
    python experiments/reproduce.py kapoor --data-dir iemocap=IEMOCAP --init resnet50=resnet50.pth
    python experiments/reproduce.py padi2021 --embedded --scale small

Each file in experiments/recipes is a paper. Rows whose corpora are not given are left out, with a
line on how to get them; what a corpus lacks of its published contents is told before anything is
trained. --embedded runs all on the corpus of synthetic speech instead, which shows that they run
and nothing else. Finished rows are not run again by --resume.
"""

import dataclasses
import importlib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from serjax import protocols, report, training
from serjax.anti_transfer.sweep import Sweep
from serjax.cli import arguments
from serjax.cli.parser import Parser
from serjax.errors import InputError, unknown_name
from serjax.files import write_text_atomic
from serjax.recipes import Recipe, Row, plan
from serjax.training.run_folder.run_dir import is_finished

RECIPES = ("deepika2025", "guizzo2023", "kapoor", "padi2021", "tiwari")
_SCALES = ("paper", "small")


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
            models=(config.model.name,),
            methods=(method,),
            layers=(layer or 1,),
            splits=(config.data.split,),
            seeds=(config.seed,),
            teachers=teachers,
        )
        return Path(str(swept.run(place, **options)[-1]["folder"]))
    if (place / "summary.json").exists():
        return place
    options = {**options, "out": place, "resume": place.exists(), "members": members}
    if config.data.test_dataset is not None:
        return protocols.cross_corpus(config, **options)
    return protocols.cross_validate(config, folds=folds, **options)


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
    recipe: Recipe = importlib.import_module(f"serjax.recipes.{given.recipe}").RECIPE
    console = Console()
    small = given.scale == "small"
    folders: dict[str, str] | None = _pairs(
        "--data-dir", "CORPUS=DIR", given.data_dir, list(recipe.corpora)
    )
    networks = [plan.network_of(row) for row in recipe.rows if plan.is_network(row)]
    initial = _pairs("--init", "MODEL=RUN|FILE", given.init, list(dict.fromkeys(networks)))
    if given.embedded:
        folders = None
    rows = plan.chosen(recipe, given.only, folders, initial, small, console)
    folder = given.out or Path("runs") / given.recipe
    first = plan.pretrainings(recipe, rows, folders, initial, given.seed, small)
    for config in first.values():
        config.check()
    initial |= {network: str(folder / "pretrained" / network) for network in first}
    kinds = (False, True) if given.tuned else (False,)
    planned = [(row, tuned) for row in rows for tuned in kinds if plan.is_network(row) or not tuned]
    configs = [
        plan.configured(
            recipe, row, folders, seed=given.seed, init=initial, small=small, tuned=tuned
        )
        for row, tuned in planned
    ]
    lacking = plan.lacking(folders or {})
    for line in lacking:
        console.print(line, highlight=False, soft_wrap=True)
    plan.check_divisions([row for row, _ in planned], configs, small)
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
        for (row, tuned), config in zip(planned, configs, strict=True):
            title = f"{row.title}, tuned" if tuned else row.title
            console.rule(title)
            teachers = None
            if folders is not None and recipe.teachers in folders:
                teachers = config.replace(
                    dataset=recipe.teachers,
                    data_dir=folders[recipe.teachers],
                    dataset_options=dict(recipe.teacher_options),
                    labels=None,
                )
            folds = plan.folds_of(row, small)
            members = plan.members_of(recipe, small) if tuned else 1
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
                f"{len(recipe.rows)} rows, at most {plan.FEWEST_FOLDS} folds, and "
                f"{_plainly(recipe.small)}."
            )
        if given.tuned:
            about.append(
                f"Rows named tuned are not the paper's: {_plainly(recipe.tuned.config)}, and of "
                f"cross-validations the mean of {plan.members_of(recipe, small)} networks in each "
                "fold."
            )
        text = _markdown(recipe, outcomes, [*about, *lacking], folder)
        write_text_atomic(folder / "table.md", text)
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    return arguments.run(run)
