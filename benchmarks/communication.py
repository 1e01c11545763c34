"""Reads off a compiled training step what its devices tell each other.

    python benchmarks/communication.py --models vgg16,quat_vgg16,resnet34_stats,dscnn

The step is the one that `experiments/train.py` takes, compiled for as many devices of the CPU and
not run, each array reduced by itself. Compilers join small all-reduces into larger ones, and that
of GPUs starts them early; which bytes there are to send, and which products those do not wait for,
is the same.
"""

import os
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from serjax import models
from serjax.cli.parser import Parser, run_command
from serjax.data.batches import Examples
from serjax.training.build import abstract_variables
from serjax.training.devices.batch_sharding import BatchSharding
from serjax.training.state import parameter_count, state_of
from serjax.training.step import make_train_step

_CLASSES = 4
_UTTERANCES = 16
_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?(\S+) = (\(.*?\)|\S+) ([a-z][\w-]*)\((.*)$")
_ARRAY = re.compile(r"\b(pred|[a-z]+(\d+)\w*)\[([\d,]*)\]")
_PRODUCTS = {"convolution", "dot"}
# The program is read and never run.
_FLAGS = "--xla_disable_hlo_passes=cpu-all-reduce-combiner --xla_backend_optimization_level=0"


class AllReduce(NamedTuple):
    """Arrays that all devices add up together.

    Attributes:
        shapes: Of the arrays.
        nbytes: Of all of them, on one device.
        unrelated: Share of the program's convolutions and matrix products that neither it waits
            for nor that wait for it: what could be computed while it is under way.
    """

    shapes: list[tuple[int, ...]]
    nbytes: int
    unrelated: float


class _Instruction(NamedTuple):
    name: str
    shape: str
    operation: str
    rest: str


def _named(instruction: _Instruction) -> list[str]:
    """Operands and computations that an instruction names."""
    return re.findall(r"%([\w.-]+)", instruction.rest)


def _computations(text: str) -> Iterator[tuple[str, bool, list[_Instruction]]]:
    """Name, whether it is the entry, and instructions of each computation of an HLO module."""
    name, entry, body = "", False, []
    for line in text.splitlines():
        found = _INSTRUCTION.match(line)
        if found is not None:
            body.append(_Instruction(*found.groups()))
        elif line.rstrip().endswith("{"):
            words = line.split()
            entry = words[0] == "ENTRY"
            name, body = words[1 if entry else 0].lstrip("%"), []
        elif line.startswith("}"):
            yield name, entry, body


def _arrays(shape: str) -> tuple[list[tuple[int, ...]], int]:
    """Shapes and bytes of what an instruction makes."""
    shapes, nbytes = [], 0
    for kind, bits, sizes in _ARRAY.findall(shape):
        shapes.append(tuple(int(size) for size in sizes.split(",") if size))
        nbytes += int(np.prod(shapes[-1], dtype=np.int64)) * (
            1 if kind == "pred" else int(bits) // 8
        )
    return shapes, nbytes


def _reached(start: str, edges: dict[str, list[str]]) -> set[str]:
    found, waiting = set(), [start]
    while waiting:
        for name in edges.get(waiting.pop(), []):
            if name not in found:
                found.add(name)
                waiting.append(name)
    return found


def all_reduces(text: str) -> list[AllReduce]:
    """The all-reduces of a compiled program, in the order in which it has them.

    Args:
        text: `Compiled.as_text()`; its loops and branches are not looked into for all-reduces.
    """
    bodies = {}
    instructions: list[_Instruction] = []
    for name, entry, body in _computations(text):
        bodies[name] = body
        instructions = body if entry else instructions

    def products(body: Iterable[_Instruction]) -> int:
        count = 0
        for each in body:
            count += each.operation in _PRODUCTS
            count += sum(products(bodies[name]) for name in _named(each) if name in bodies)
        return count

    names = {each.name for each in instructions}
    before = {each.name: [name for name in _named(each) if name in names] for each in instructions}
    after: dict[str, list[str]] = {}
    for name, operands in before.items():
        for operand in operands:
            after.setdefault(operand, []).append(name)
    weights = {each.name: products([each]) for each in instructions}
    total = sum(weights.values())
    found = []
    for each in instructions:
        if each.operation in ("all-reduce", "all-reduce-start"):
            related = _reached(each.name, before) | _reached(each.name, after)
            ours = sum(weights[name] for name in related)
            shapes, nbytes = _arrays(each.shape)
            found.append(AllReduce(shapes, nbytes, 1 - ours / total if total else 0.0))
    return found


def compile_step(name: str, devices: tuple[jax.Device, ...], each: int) -> tuple[Any, int]:
    """The training step of a network, and the number of its parameters.

    Args:
        name: One of `serjax.models.names()`.
        devices: That share a batch.
        each: Examples of a device.
    """
    model, front_end = models.create(name, _CLASSES), models.front_end(name)
    optimizer, division = optax.adam(1e-4), BatchSharding("shard_map", devices)
    abstract = abstract_variables(model, front_end)
    state = jax.eval_shape(lambda variables: state_of(variables, optimizer), abstract)

    def lay_out() -> Examples:
        samples = jnp.zeros(_UTTERANCES * front_end.segment_samples, jnp.int16)
        return Examples(samples, *jnp.zeros((4, _UTTERANCES), jnp.int32))

    examples = jax.eval_shape(lay_out)
    step = make_train_step(
        model, front_end, optimizer, jax.random.key(0), _CLASSES, division=division
    )
    batch = division.abstract_batch(each * len(devices))
    return step.lower(state, examples, batch, None).compile(), parameter_count(state.params)


def main() -> int:
    """Prints a row for each network."""
    parser = Parser(__doc__)
    parser.add_argument("--models", default="dscnn", help="names, with commas (%(default)s)")
    parser.add_argument("--devices", type=int, default=8, help="(%(default)s)")
    parser.add_argument("--examples", type=int, default=8, help="of each device (%(default)s)")
    given = parser.parse_args()
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_FLAGS}"
    jax.config.update("jax_num_cpu_devices", given.devices)
    devices = tuple(jax.devices("cpu"))
    print("| network | parameters | all-reduces | MB | of gradients | MB that need not wait |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in given.models.split(","):
        program, parameters = compile_step(name, devices, given.examples)
        reduced = all_reduces(program.as_text())
        total = sum(each.nbytes for each in reduced)
        early = sum(each.nbytes for each in reduced if each.unrelated > 0)
        print(
            f"| `{name}` | {parameters:,} | {len(reduced)} | {total / 1e6:.2f} | "
            f"{4 * parameters / total:.1%} | {early / 1e6:.2f} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    run_command(main)
