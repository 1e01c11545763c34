"""What a suite is asked to measure, and what it shows of that."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from serjax.report.plots.dots import Dot, plot_dots

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
        parallel: How the suite `training` divides a batch over several devices.
        scan_steps: Steps of one call there; None: as suits the device.
    """

    rounds: int
    dtype: str
    quick: bool = False
    peers: bool = False
    models: tuple[str, ...] = ()
    parallel: str = "shard_map"
    scan_steps: int | None = None


class Drawing(Protocol):
    """What a suite draws of its rows."""

    @property
    def label(self) -> str:
        """What it shows, in words."""

    def draw(self, rows: Rows, dark: bool) -> Any:
        """A figure, on a dark background if so asked; None where there is nothing to draw."""


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

    def draw(self, rows: Rows, dark: bool) -> Any:
        """Dots on a logarithmic scale, see `serjax.report.plots.dots`."""
        dots = [
            Dot(
                ", ".join(str(row[name]) for name in self.rows),
                str(row[self.series]),
                *(row[f"{self.quantity}{end}"] for end in ("", "_low", "_high")),
            )
            for row in rows
            if row[self.quantity] is not None and row[self.series] != self.of
        ]
        if not dots:
            return None
        return plot_dots(dots, self.label, reference=self.reference, dark=dark)
