"""Schemas of JSON files, declared as types, and the check of a file's content against one.

A schema is a `TypedDict`, or any type built from `list`, `dict`, `Literal`, unions, `Annotated`
with a `Range`, and the types of JSON's values. Keys that a `TypedDict` does not name are allowed. A
dataclass is a schema too: an object of all its fields and no others.

The check is not that of a library: pydantic refuses texts with surrogate escapes, as which Python
represents file names that are not UTF-8.
"""

import dataclasses
import functools
import math
import reprlib
import types
from collections.abc import Mapping
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from serjax.errors import InputError, unknown_name


@dataclasses.dataclass(frozen=True)
class Range:
    """Range of a number, as metadata of `Annotated`.

    Attributes:
        low: Smallest value.
        high: Largest value.
    """

    low: float = -math.inf
    high: float = math.inf

    def __str__(self) -> str:
        """Returns the range in words."""
        if self.high == math.inf:
            return f"of at least {self.low:g}"
        return f"from {self.low:g} to {self.high:g}"


Count = Annotated[int, Range(0)]
"""Number of things."""

Fraction = Annotated[float, Range(0, 1)]
"""Number in [0, 1]."""

Seconds = Annotated[float, Range(0)]
"""Duration in seconds."""

_WORDS: Mapping[Any, str] = {
    bool: "true or false",
    dict: "an object",
    float: "a number",
    int: "a whole number",
    list: "a list",
    str: "a text",
    types.NoneType: "null",
}


def check(content: Any, schema: Any, name: str = "") -> None:
    """Checks the content of a JSON file against its schema.

    Args:
        content: Content, as `json.loads` returns it.
        schema: Type that the content must have.
        name: Dotted name of the content within its file; empty for the whole file.

    Raises:
        InputError: A field is missing or has another type; the message names it, such as
            "test.wa.value: expected a number from 0 to 1, found 'x'".
    """
    origin, arguments = get_origin(schema), get_args(schema)
    if origin in (Required, NotRequired):
        return check(content, arguments[0], name)
    if origin in (Union, types.UnionType):
        schema = next((each for each in arguments if _is_of_kind(content, each)), schema)
        origin, arguments = get_origin(schema), get_args(schema)
    if not _is_of_kind(content, schema):
        where = f"{name}: " if name else ""
        raise InputError(f"{where}expected {_in_words(schema)}, found {_shown(content)}")
    if origin is Annotated:
        return check(content, arguments[0], name)
    if is_typeddict(schema) or dataclasses.is_dataclass(schema):
        fields = _fields(schema)
        for key, inner in fields.items():
            if key in content:
                check(content[key], inner, _joined(name, key))
            elif key in getattr(schema, "__required_keys__", fields):
                raise InputError(f"expected {_joined(name, key)}, found none")
        if dataclasses.is_dataclass(schema) and not content.keys() <= fields.keys():
            raise InputError(unknown_name("key", min(content.keys() - fields.keys()), fields))
    elif origin is dict:
        for key, value in content.items():
            check(value, arguments[1], _joined(name, key))
    # Most long lists hold texts, and need no look at each one.
    elif origin is list and not {type(each) for each in content} <= {arguments[0]}:
        for index, value in enumerate(content):
            check(value, arguments[0], f"{name}[{index}]")
    return None


@functools.cache
def _fields(schema: Any) -> dict[str, Any]:
    return get_type_hints(schema, include_extras=True)


def _joined(name: str, key: str) -> str:
    # A key comes from the file, and may hold line ends.
    key = key if key.isidentifier() else _shown(key)
    return f"{name}.{key}" if name else key


def _kind(schema: Any) -> Any:
    """Returns the Python type of a value that has a schema."""
    if is_typeddict(schema) or dataclasses.is_dataclass(schema):
        return dict
    return get_origin(schema) or schema


def _is_of_kind(value: Any, schema: Any) -> bool:
    """Returns True if a value has the type and the range of a schema, whatever it contains."""
    kind, arguments = _kind(schema), get_args(schema)
    if kind is Annotated:
        return _is_of_kind(value, arguments[0]) and all(
            each.low <= value <= each.high for each in arguments[1:]
        )
    if kind in (Union, types.UnionType):
        return any(_is_of_kind(value, each) for each in arguments)
    if kind is Literal:
        return value in arguments
    if kind in (int, float):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and (isinstance(value, int) or (kind is float and math.isfinite(value)))
    return kind is Any or isinstance(value, kind)


def _in_words(schema: Any) -> str:
    kind, arguments = _kind(schema), get_args(schema)
    if kind is Annotated:
        return " ".join([_in_words(arguments[0]), *map(str, arguments[1:])])
    if kind in (Union, types.UnionType):
        return " or ".join(map(_in_words, arguments))
    if kind is Literal:
        return " or ".join(map(repr, arguments))
    return _WORDS[kind]


def _shown(value: Any) -> str:
    """Returns a short text of a value: containers by their kind, other values as in Python."""
    return _WORDS[type(value)] if isinstance(value, dict | list) else reprlib.repr(value)
