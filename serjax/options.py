"""Declared options: dataclass fields with a type, a default, a help text and checks.

A configuration is a frozen dataclass whose fields are options or groups of options. Everything else
follows from the declarations: command-line flags, checks, JSON and YAML files, documentation. An
option is named by the path of its field ("optimizer.batch_size") and, shorter, by its own name
("batch_size"), which is unique within a configuration and is the name of its flag.
"""

import dataclasses
import functools
import importlib
import json
import math
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import (
    Any,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from serjax.errors import InputError, unknown_name
from serjax.files import PathLike, parse_json, portable, read_text

Config = TypeVar("Config")
_KEY = "option"


@dataclasses.dataclass(frozen=True)
class Declaration:
    """Declaration of an option apart from its type and default.

    Attributes:
        help: Help text.
        name: Name of the option; empty: the name of its field.
        kind: Word for the option in error messages about unknown names, such as "model".
        choices: Function that returns the known names, for choices that are registered at run time.
        minimum: Smallest value.
        above: Value that is exceeded.
        flag: Flag of the command line; empty: follows from the name; None: no flag.
        metavar: Placeholder of the value in a command's help.
        common: Whether `--help` shows it; `--help-all` shows all options.
    """

    help: str
    name: str = ""
    kind: str = ""
    choices: Callable[[], Iterable[str]] | None = None
    minimum: float | None = None
    above: float | None = None
    flag: str | None = ""
    metavar: str | tuple[str, ...] | None = None
    common: bool = False


def option(default: Any, help: str, **settings: Any) -> Any:
    """Declares an option as the default of a dataclass field.

    Args:
        default: Default value; a dict is copied for every configuration.
        help: Help text.
        **settings: Further fields of `Declaration`.
    """
    metadata = {_KEY: Declaration(help, **settings)}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def names_in(*places: str) -> Callable[[], tuple[str, ...]]:
    """Returns a function that looks names up, for `Declaration.choices`.

    Args:
        *places: Functions or tables of names as "module:attribute"; their names are joined. The
            modules are imported when the names are asked for.
    """

    def names() -> tuple[str, ...]:
        joined: list[str] = []
        for place in places:
            module, _, attribute = place.partition(":")
            known = getattr(importlib.import_module(module), attribute)
            joined += known() if callable(known) else known
        return tuple(joined)

    return names


class Option(NamedTuple):
    """An option of a configuration.

    Attributes:
        path: Names of the fields that lead to it, joined by dots.
        name: Short name, unique within the configuration.
        type: Type of its values.
        default: Default value.
        declaration: Help text, choices and limits.
    """

    path: str
    name: str
    type: Any
    default: Any
    declaration: Declaration

    @property
    def flag(self) -> str | None:
        """Flag of the command line, or None if it has none."""
        if self.declaration.flag == "":
            return "--" + self.name.replace("_", "-")
        return self.declaration.flag


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def options_of(config: Any) -> dict[str, Option]:
    """Returns the options of a configuration class, those of its groups included, by name.

    Args:
        config: Dataclass whose fields are options or groups of options.
    """
    declared: list[Option] = []
    hints: dict[str, Any] = get_type_hints(config)
    for field in dataclasses.fields(config):
        type_, declaration = hints[field.name], field.metadata.get(_KEY)
        if declaration is not None:
            name = declaration.name or field.name
            declared.append(Option(field.name, name, type_, _default(field), declaration))
        elif dataclasses.is_dataclass(type_):
            inner = options_of(type_).values()
            declared += [each._replace(path=f"{field.name}.{each.path}") for each in inner]
    options: dict[str, Option] = {}
    for each in declared:
        if each.name in options:
            raise TypeError(f"{config.__name__}: two options are named {each.name!r}")
        options[each.name] = each
    return options


def get(config: Any, path: str) -> Any:
    """Returns the value at a path such as "optimizer.batch_size"."""
    return functools.reduce(getattr, path.split("."), config)


def replace(config: Config, **values: Any) -> Config:
    """Returns a copy of a configuration with other values of some options.

    Args:
        config: Configuration.
        **values: Values by the names of options, of groups, or of other fields.

    Raises:
        InputError: An option does not exist.
    """
    options = options_of(type(config))
    fields = {field.name for field in dataclasses.fields(config)}  # type: ignore[arg-type]
    changes: dict[str, Any] = {}
    in_groups: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        if name in options and not (name in fields and dataclasses.is_dataclass(value)):
            group, _, field = options[name].path.rpartition(".")
            (in_groups.setdefault(group, {}) if group else changes)[field] = value
        elif name in fields:
            changes[name] = value
        else:
            raise InputError(unknown_name("option", name, sorted({*options, *fields})))
    for group, inner in in_groups.items():
        base = changes.get(group, getattr(config, group))
        changes[group] = dataclasses.replace(base, **inner)
    return dataclasses.replace(config, **changes)  # type: ignore[type-var]


def alternatives(type_: Any) -> tuple[Any, ...]:
    """Returns the members of a union, or the type itself."""
    return get_args(type_) if get_origin(type_) in (Union, types.UnionType) else (type_,)


def choices_of(option: Option) -> tuple[str, ...]:
    """Returns the known values of an option, or nothing if any value of its type will do."""
    if option.declaration.choices is not None:
        return tuple(option.declaration.choices())
    literals = [get_args(t) for t in alternatives(option.type) if get_origin(t) is Literal]
    return tuple(value for values in literals for value in values)


_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def _in_words(type_: Any) -> str:
    names = []
    for each in alternatives(type_):
        origin = get_origin(each)
        if each is types.NoneType:
            names.append("null")
        elif origin is Literal:
            names.append(" or ".join(get_args(each)))
        elif origin is tuple:
            names.append("a list")
        elif origin is dict:
            names.append("a table")
        else:
            names.append(_WORDS.get(each, getattr(each, "__name__", str(each))))
    return " or ".join(names)


def _is_of_type(value: Any, type_: Any) -> bool:
    origin = get_origin(type_)
    if type_ is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(_is_of_type(value, each) for each in get_args(type_))
    if origin is Literal:
        return isinstance(value, str)  # which one is checked with a hint at the nearest name
    if origin is dict:
        key, inner = get_args(type_)
        return isinstance(value, Mapping) and all(
            _is_of_type(k, key) and _is_of_type(v, inner) for k, v in value.items()
        )
    if origin is tuple:
        inner = get_args(type_)
        if not isinstance(value, tuple):
            return False
        if inner[-1] is Ellipsis:
            return all(_is_of_type(each, inner[0]) for each in value)
        return len(value) == len(inner) and all(map(_is_of_type, value, inner))
    if type_ is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if type_ is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, type_)


def check(config: Any) -> None:
    """Checks every option of a configuration against its declaration.

    Raises:
        InputError: A value is of another type, is not among the choices, or exceeds the limits.
    """
    for each in options_of(type(config)).values():
        value = get(config, each.path)
        if not _is_of_type(value, each.type):
            raise InputError(f"{each.path}: expected {_in_words(each.type)}, found {value!r}")
        if value is None:
            continue
        known = choices_of(each)
        if known and value not in known:
            kind = each.declaration.kind or each.name.replace("_", " ")
            raise InputError(unknown_name(kind, value, known))
        minimum, above = each.declaration.minimum, each.declaration.above
        if minimum is not None and not minimum <= value < math.inf:
            raise InputError(f"{each.path}: expected at least {minimum:g}, found {value}")
        if above is not None and not above < value < math.inf:
            raise InputError(f"{each.path}: expected more than {above:g}, found {value}")


def to_json(config: Any) -> dict[str, Any]:
    """Converts a configuration to values that JSON holds; tuples become lists."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return plain


def _from_plain(value: Any, type_: Any, where: str) -> Any:
    """Converts a value of a JSON or YAML file to a type."""
    if value is None:
        return None
    for each in alternatives(type_):
        if dataclasses.is_dataclass(each) and isinstance(value, Mapping):
            return from_mapping(cast(Any, each), value, where)
        if get_origin(each) is tuple and isinstance(value, list):
            inner = get_args(each)
            of_items = [inner[0]] * len(value) if inner[-1] is Ellipsis else [*inner]
            if len(of_items) != len(value):
                raise InputError(f"{where}: expected {len(of_items)} values, found {len(value)}")
            return tuple(
                _from_plain(item, item_type, where)
                for item, item_type in zip(value, of_items, strict=True)
            )
    return value


def from_mapping(
    config: type[Config],
    content: Mapping[str, Any],
    where: str = "",
    ignored: Iterable[str] = (),
) -> Config:
    """Makes a configuration from nested mappings, as JSON and YAML files hold them.

    Args:
        config: Class of the configuration.
        content: Values by the names of fields; missing ones have their defaults.
        where: Name of the content in error messages.
        ignored: Further keys at the top level that are no options.

    Raises:
        InputError: A key does not exist, or a value is not of its option's type.
    """
    hints = get_type_hints(config)
    known = [field.name for field in dataclasses.fields(config)]  # type: ignore[arg-type]
    fields = {}
    for key, value in content.items():
        if key in known:
            path = f"{where}.{key}" if where else key
            fields[key] = _from_plain(value, hints[key], path)
            if dataclasses.is_dataclass(hints[key]) and not dataclasses.is_dataclass(fields[key]):
                raise InputError(f"{path}: expected a table of options, found {value!r}")
            if not _is_of_type(fields[key], hints[key]):
                raise InputError(f"{path}: expected {_in_words(hints[key])}, found {value!r}")
        elif key not in ignored:
            raise InputError(f"{where + ': ' if where else ''}{unknown_name('key', key, known)}")
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        has_default = (field.default, field.default_factory) != (dataclasses.MISSING,) * 2
        if field.name not in fields and not has_default:
            raise InputError(f"{where + ': ' if where else ''}expected {field.name}, found none")
    return config(**fields)


def read_file(config: type[Config], path: PathLike, ignored: Iterable[str] = ()) -> Config:
    """Reads a configuration from a JSON or YAML file.

    Args:
        config: Class of the configuration.
        path: File that ends in .json, .yaml or .yml, such as a run's `config.json`.
        ignored: Keys at the top level that are no options.

    Raises:
        InputError: The file cannot be read, or holds something else.
    """
    path = Path(path)
    text = read_text(path)
    if path.suffix.lower() in (".yaml", ".yml"):
        import yaml

        try:
            content = yaml.safe_load(text)
        except Exception as error:  # PyYAML's errors have no base of the standard library
            reason = " ".join(str(error).split())  # it has several lines
            raise InputError(f"{path}: expected a YAML file, found {reason}") from None
    else:
        content = parse_json(text, path)
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: expected a table of options, found {type(content).__name__}")
    content = portable.to_absolute(content, path.parent)
    try:
        return from_mapping(config, content, ignored=ignored)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def differences(first: Any, second: Any) -> Iterator[tuple[Option, Any, Any]]:
    """Yields the options in which two configurations of a class differ, with both values."""
    for each in options_of(type(first)).values():
        values = get(first, each.path), get(second, each.path)
        if values[0] != values[1]:
            yield each, *values
