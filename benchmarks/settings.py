"""What a suite is asked to measure, and what it shows of that."""

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


@dataclasses.dataclass(frozen=True)
class Figure:
    """What a suite draws: one quantity, a line for each kind of row, a dot for each form.

    Attributes:
        quantity: Column of the value, which has quartiles.
        label: Of its scale.
        rows: Columns that name a line.
        series: Column that names a dot.
        reference: Value marked across all lines, and
        of: the form that always has it, which is not drawn; None draws all.
    """

    quantity: str
    label: str
    rows: tuple[str, ...]
    series: str = "form"
    reference: float | None = None
    of: str | None = None
