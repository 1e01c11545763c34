"""Sound that is decoded block by block: no memory is allocated by the length in a header."""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float32

Block = Float32[np.ndarray, "frames channels"]

BLOCK_VALUES = 2**18
"""Number of values of a block, whatever the number of channels."""


@dataclasses.dataclass(frozen=True)
class Stream:
    """Sound of an open file.

    Attributes:
        sample_rate: Sample rate, in Hz.
        channels: Number of channels.
        frames: Number of samples of a channel, as the file promises; None if it is unknown until
            all of it is decoded.
        read: Function from the first frame and the frame after the last one to the blocks between
            them; None: to the end. It raises `DamageError` if the promise is not kept.
    """

    sample_rate: int
    channels: int
    frames: int | None
    read: Callable[[int, int | None], Iterator[Block]]
