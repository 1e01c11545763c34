"""Damage to files, for tests of what is read from a bad disk or from somebody else."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

# Values that a foreign JSON file may hold anywhere.
_VALUES = (
    *(None, True, 0, -1, 1.5, 2**31, 2**63, 10**400, 1e308, float("nan"), float("inf")),
    *("", "x", "../../etc/passwd", "\x1b[31m", "a\nb", "os.system", [], {}, [[]], {"a": {}}),
)


def _position(content: bytes, draw: random.Random) -> int:
    """Returns a position, mostly not in the zeros that some formats pad their files with."""
    for _ in range(50):
        position = draw.randrange(len(content))
        if content[position]:
            break
    return position


def _flipped(content: bytes, draw: random.Random) -> bytes:
    position = _position(content, draw)
    changed = bytearray(content)
    changed[position] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _overwritten(content: bytes, draw: random.Random) -> bytes:
    first = _position(content, draw)
    length = min(draw.choice([1, 4, 64, 4096]), len(content) - first)
    filler = draw.choice([bytes(length), b"\xff" * length, draw.randbytes(length)])
    return content[:first] + filler + content[first + length :]


def _truncated(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.choice([0, _position(content, draw), len(content) - 1])]


def _extended(content: bytes, draw: random.Random) -> bytes:
    return content + draw.choice([b"\0", b"\n", draw.randbytes(1000)])


def _moved(content: bytes, draw: random.Random) -> bytes:
    """Copies a range to another place, as a block of a disk that is written twice."""
    first, second = _position(content, draw), _position(content, draw)
    length = min(draw.choice([8, 512]), len(content) - max(first, second))
    return content[:second] + content[first : first + length] + content[second + length :]


def _replaced(content: bytes, draw: random.Random) -> bytes:
    """Replaces, removes or adds a value anywhere in a JSON file."""
    try:
        root = json.loads(content)
    except ValueError:
        return _flipped(content, draw)
    places = list(_places(root))
    if not places:
        return content
    container, key = draw.choice(places)
    action = draw.randrange(4)
    if action == 0:
        del container[key]
    elif action == 1 and isinstance(container[key], int | float):
        container[key] += draw.choice([1, -1, 0.5, 1000])
    elif action == 2:
        other, its_key = draw.choice(places)
        if other[its_key] is not container[key]:
            container[key] = json.loads(json.dumps(other[its_key]))
    else:
        container[key] = draw.choice(_VALUES)
    try:
        return json.dumps(root).encode("utf-8", "surrogateescape")
    except (ValueError, RecursionError):
        return b"[" * 100_000


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yields every container of a JSON value with each of its keys."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


_KINDS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(_flipped, _flipped, _overwritten, _truncated, _extended, _moved),
)


def damaged(content: bytes, draw: random.Random, *, is_json: bool = False) -> bytes:
    """Damages the content of a file.

    Args:
        content: Content, not empty.
        draw: Source of randomness.
        is_json: Whether values of JSON are changed too.
    """
    return draw.choice((*_KINDS, *[_replaced] * (4 * is_json)))(content, draw)


def is_line(error: Exception) -> bool:
    """Returns True for a message of one line, as commands print it; else it raises."""
    if "\n" in str(error) or not str(error):
        raise AssertionError(f"expected one line, found {str(error)!r}")
    return True
