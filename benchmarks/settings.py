"""What a suite is asked to measure."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

Rows = list[dict[str, Any]]
Cases = Mapping[str, Callable[[], Rows]]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of one run of a suite; rows of equal settings and commits are comparable.

    Attributes:
        rounds: Calls of each program.
        dtype: Of the arithmetic, "float32" or "bfloat16".
        quick: Whether only some of the sizes are measured.
        peers: Whether other libraries are measured beside ours.
        models: Names of networks; empty for the suite's own choice.
    """

    rounds: int
    dtype: str
    quick: bool = False
    peers: bool = False
    models: tuple[str, ...] = ()
