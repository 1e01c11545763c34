r"""Train and test a model on every fold of a protocol, so that each utterance is tested once.

    serjax cross-validate --model svm --dataset emodb --data-dir EMODB
    serjax cross-validate --model dscnn --dataset ravdess --data-dir RAVDESS \
        --protocol speaker --folds 5 --seeds 3
    serjax cross-validate --model knn,lda,svm,dscnn --protocol random,speaker ...
    serjax cross-validate ... --out DIR --resume

Each fold is an ordinary run in its own folder, or an ensemble of --members. table.md, folds.csv,
summary.json and report.html in the folder above summarize them. Several models or protocols have
one folder each, and table.md has a row for each. --resume skips finished folds.
"""

import argparse
from pathlib import Path

from serjax.cli import flags
from serjax.cli.execution import execute
from serjax.cli.parser import Parser
from serjax.errors import InputError
from serjax.training.config import RunConfig

_DECIDED = ("split", "fold", "fractions", "split_file", "split_seed")


def _parser() -> Parser:
    parser = Parser(__doc__)
    add = parser.add_argument_group("protocol").add_argument
    add(
        "--protocol",
        default="speaker",
        help="Protocol: random, session, speaker, leave_one_speaker_out, leave_one_session_out or "
        "leave_one_session_speaker_out; several are joined by commas (default: %(default)s).",
    )
    add("--folds", type=int, metavar="N", help="Folds, for protocols that leave a choice (5).")
    add(
        "--batching",
        default="auto",
        help="Folds and seeds in one program: auto, off, vmap or scan (default: %(default)s).",
    )
    parser.paths["data.split"] = "--protocol"
    flags.add_repetitions(parser)
    flags.add_config(parser, without=_DECIDED)
    flags.add_folder(parser)
    flags.add_distributed(parser)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    names = getattr(arguments, "model", RunConfig().model.name).split(",")
    arguments.model = names[0]
    config = flags.read_config(arguments, split=arguments.protocol, fold=None)

    from serjax import protocols, report
    from serjax.console import Console
    from serjax.training.checks import check_config
    from serjax.training.devices.processes import by_first, is_first

    configs, notes = protocols.for_models(config, names)
    series = {
        f"{model}-{protocol}": each.replace(split=protocol)
        for protocol in arguments.protocol.split(",")
        for model, each in configs.items()
    }
    for each in series.values():
        check_config(each.replace(fold="1/5"))

    def cross_validate(
        each: RunConfig, out: Path | None, console: Console, command: list[str]
    ) -> None:
        protocols.cross_validate(
            each,
            folds=arguments.folds,
            seeds=arguments.seeds,
            members=arguments.members,
            out=out,
            resume=arguments.resume,
            console=console,
            command=command,
            batching=arguments.batching,
        )

    def job(command: list[str]) -> None:
        console = Console(quiet=not is_first())
        for note in notes:
            console.print(note)
        if len(series) == 1:
            cross_validate(next(iter(series.values())), arguments.out, console, command)
            return
        default = Path("runs") / f"{config.data.dataset}-{config.seed}-models"
        folder = arguments.out or default
        is_filled = by_first(lambda: folder.exists() and any(folder.iterdir()))
        if is_filled and not arguments.resume:
            raise InputError(f"{folder}: expected a new or empty folder; continue it by --resume")
        for name, each in series.items():
            if not by_first((folder / name / "summary.json").exists):
                console.rule(name)
                cross_validate(each, folder / name, console, command)
        table = by_first(lambda: report.write_model_table(folder, list(series)))
        report.print_model_table(console, table)
        console.print(f"written {folder / 'table.md'}")

    return execute(job, arguments.distributed)


def main() -> int:
    """Parses the command line and runs; returns the exit status."""
    parser = _parser()
    arguments = parser.parse_args()
    with parser.naming_flags():
        return _run(arguments)
