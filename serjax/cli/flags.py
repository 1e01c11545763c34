"""Flags of the commands that train, and the configuration that they ask for.

The flags of `RunConfig` follow from its declarations, see `serjax.training.config`. The `dest` of a
flag is the name of its option; a flag that is not typed leaves the option as `--config` has it.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from serjax import options
from serjax.cli.parser import Parser, key_value
from serjax.errors import InputError
from serjax.options import Option
from serjax.training.config import RunConfig

_GROUPS = {
    "data": "data",
    "model": "model and input",
    "optimizer": "training",
    "augmentation": "augmentation",
    "system": "devices and memory",
    "": "run",
}
_MOST_CHOICES = 24


def _frozen(text: str) -> tuple[str, int | None]:
    """Reads LAYERS or LAYERS=STEP."""
    pattern, separator, step = text.rpartition("=")
    if not separator:
        return text, None
    if not step.isdigit():
        raise argparse.ArgumentTypeError(f"expected LAYERS or LAYERS=STEP, found {text!r}")
    return pattern, int(step)


def _settings(each: Option) -> dict[str, Any]:
    """Returns argparse's settings for the type of an option."""
    type_ = next(t for t in options.alternatives(each.type) if t is not type(None))
    origin, metavar = get_origin(type_), each.declaration.metavar
    if type_ is bool:
        return {"action": argparse.BooleanOptionalAction}
    if origin is dict:
        reader = key_value if get_args(type_)[1] is Any else _frozen
        return {"action": "append", "type": reader, "metavar": metavar}
    if origin is tuple and get_args(type_)[-1] is Ellipsis:
        return {"action": "append", "metavar": metavar}
    if origin is tuple:
        inner = get_args(type_)
        return {"nargs": len(inner), "type": inner[0], "metavar": metavar}
    kind = type_ if type_ in (int, float) else str
    short = {int: "N", float: "X"}.get(kind, "NAME")
    return {"type": kind, "metavar": metavar or short}


def _spaced(value: Any) -> str:
    """Returns a value as it is typed."""
    if isinstance(value, tuple):
        return " ".join(map(_spaced, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _help(each: Option, default: Any) -> str:
    """Returns the help text with the default."""
    if default is None or isinstance(default, bool) or default in ((), {}):
        return each.declaration.help
    return f"{each.declaration.help.removesuffix('.')} (default: {_spaced(default)})."


def add_config(
    parser: Parser,
    *,
    without: Collection[str] = (),
    defaults: "RunConfig | None" = None,
) -> None:
    """Adds a flag for every option of `RunConfig`, and `--config`.

    Args:
        parser: Parser of the command.
        without: Names of options that the command decides otherwise.
        defaults: Configuration whose values the help shows as defaults.
    """
    base = defaults or RunConfig()
    groups = {name: parser.add_argument_group(title) for name, title in _GROUPS.items()}
    for each in options.options_of(RunConfig).values():
        if each.flag is None or each.name in without:
            continue
        group = groups[each.path.rpartition(".")[0]]
        action = group.add_argument(
            each.flag,
            dest=each.name,
            default=argparse.SUPPRESS,
            help=_help(each, options.get(base, each.path)).replace("%", "%%"),
            **_settings(each),
        )
        parser.paths[each.path] = each.flag
        if not each.declaration.common:
            parser.advanced.append(action)

        def complete(action: argparse.Action = action, each: Option = each) -> None:
            known = options.choices_of(each)
            if known and len(known) <= _MOST_CHOICES and action.help:
                action.help += f" Choices: {', '.join(known)}."

        parser.completions.append(complete)
    groups[""].add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="JSON or YAML file of options, such as the config.json of a run; flags override it.",
    )


def add_folder(parser: Parser) -> None:
    """Adds --out and --resume."""
    add = parser.add_argument_group("run folder").add_argument
    add("--out", type=Path, metavar="DIR", help="Run folder (a new one in runs/).")
    add("--resume", action="store_true", help="Resume the run in the folder.")
    parser.offer_help_of_all()


def add_distributed(parser: Parser) -> None:
    """Adds the flag of data-parallel training in several processes: --distributed."""
    action = parser.add_argument_group("several processes").add_argument(
        "--distributed",
        nargs="*",
        metavar="COORDINATOR PROCESSES PROCESS",
        help="Train in several processes: detected under SLURM, Open MPI and Kubernetes, else "
        "HOST:PORT of process 0, number of processes, and number of this one.",
    )
    parser.advanced.append(action)


def add_repetitions(parser: Parser) -> None:
    """Adds the flags of repetitions: --seeds, --members."""
    add = parser.add_argument_group("repetitions").add_argument
    add("--seeds", type=int, default=1, metavar="N", help="Seeds, from --seed on (default: 1).")
    add(
        "--members",
        type=int,
        default=1,
        metavar="N",
        help="Networks of the ensemble that each run is, a classical model aside (default: 1).",
    )


def import_modules(modules: Sequence[str]) -> None:
    """Imports modules that register models, corpora, losses or augmentations.

    Args:
        modules: Names of modules, found in the current folder too.

    Raises:
        InputError: A module cannot be imported.
    """
    if modules and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise InputError(f"imports: expected a module {module!r}, found: {error}") from error


def read_config(
    arguments: argparse.Namespace, base: RunConfig | None = None, **values: Any
) -> RunConfig:
    """Makes the configuration that the flags of `add_config` ask for.

    The modules of `--import` are imported, so that what they register is known. Those that the file
    of `--config` names must be among them.

    Args:
        arguments: Parsed arguments.
        base: Configuration of what is neither typed nor in the file of `--config`.
        **values: Values of further options, which the command decides.

    Raises:
        InputError: A file or a module cannot be read.
    """
    config = base or RunConfig()
    if arguments.config is not None:
        from serjax.training.run_folder.metadata import METADATA_KEYS

        config = options.read_file(RunConfig, arguments.config, ignored=METADATA_KEYS)
        unnamed = [name for name in config.imports if name not in getattr(arguments, "imports", ())]
        if unnamed:  # the file may be somebody else's, and a module that is imported runs
            raise InputError(
                f"{arguments.config}: names modules to import; if you trust them, expected "
                f"{' '.join(f'--import {name}' for name in unnamed)}, found none"
            )
    for each in options.options_of(RunConfig).values():
        if each.flag is None or each.name not in arguments:
            continue
        value = getattr(arguments, each.name)
        if isinstance(options.get(config, each.path), dict):
            value = {**options.get(config, each.path), **dict(value)}
        elif isinstance(value, list):
            value = tuple(value)
        values.setdefault(each.name, value)
    config = config.replace(**values)
    import_modules(config.imports)
    return config
