"""Real convolutions and reductions that every algebra builds on, fast on CPUs too; no Flax."""

from serjax.ops.channel_sums import add_bias, channel_sum, over_batch
from serjax.ops.convolution import conv_general_dilated
from serjax.ops.cpu import has_threaded_convolutions, use_threaded_convolutions
from serjax.ops.real_convolution import conv, conv_transpose

__all__ = [
    "add_bias",
    "channel_sum",
    "conv",
    "conv_general_dilated",
    "conv_transpose",
    "has_threaded_convolutions",
    "over_batch",
    "use_threaded_convolutions",
]
