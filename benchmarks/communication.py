"""Measures the communication between devices in a compiled training step.

    python benchmarks/communication.py --models vgg16,quat_vgg16,resnet34_stats,dscnn

The step is that of `experiments/train.py`. It is compiled for several virtual devices of the CPU,
one all-reduce per array, and not run. Compilers combine small all-reduces into larger ones, and the
GPU's compiler starts them early. That changes neither the number of bytes nor the products that are
independent of them.
"""

import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

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
_SECONDS = 4  # of an utterance
_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?(\S+) = (\(.*?\)|\S+) ([a-z][\w-]*)\((.*)$")
_ARRAY = re.compile(r"\b(pred|[a-z]+(\d+)\w*)\[([\d,]*)\]")
_PRODUCTS = {"convolution", "dot"}
# The program is analyzed and never run.
_FLAGS = "--xla_disable_hlo_passes=cpu-all-reduce-combiner --xla_backend_optimization_level=0"


class AllReduce(NamedTuple):
    """An all-reduce: a sum of arrays over all devices.

    Attributes:
        shapes: Shapes of the arrays.
        nbytes: Bytes of all arrays on one device.
        independent_fraction: Fraction of the program's convolutions and matrix products that
            neither depend on the all-reduce nor the all-reduce on them. They can be computed at the
            same time.
    """

    shapes: list[tuple[int, ...]]
    nbytes: int
    independent_fraction: float


class _Instruction(NamedTuple):
    """An instruction of an HLO computation."""

    name: str
    shape: str
    operation: str
    rest: str


def _references(instruction: _Instruction) -> list[str]:
    """Returns the names of the operands and computations that an instruction uses."""
    return re.findall(r"%([\w.-]+)", instruction.rest)


def _computations(text: str) -> Iterator[tuple[str, bool, list[_Instruction]]]:
    """Parses the computations of an HLO module.

    Yields:
        Name, whether it is the entry computation, and instructions.
    """
    name, is_entry, body = "", False, []
    for line in text.splitlines():
        match = _INSTRUCTION.match(line)
        if match is not None:
            body.append(_Instruction(*match.groups()))
        elif line.rstrip().endswith("{"):
            words = line.split()
            is_entry = words[0] == "ENTRY"
            name, body = words[1 if is_entry else 0].lstrip("%"), []
        elif line.startswith("}"):
            yield name, is_entry, body


def _arrays(shape: str) -> tuple[list[tuple[int, ...]], int]:
    """Parses the shapes of an instruction's results, and counts their bytes."""
    shapes, nbytes = [], 0
    for kind, bits, sizes in _ARRAY.findall(shape):
        shapes.append(tuple(int(size) for size in sizes.split(",") if size))
        nbytes += int(np.prod(shapes[-1], dtype=np.int64)) * (
            1 if kind == "pred" else int(bits) // 8
        )
    return shapes, nbytes


def _reachable(start: str, edges: dict[str, list[str]]) -> set[str]:
    """Finds the nodes that can be reached from a node along the edges."""
    visited, pending = set(), [start]
    while pending:
        for name in edges.get(pending.pop(), []):
            if name not in visited:
                visited.add(name)
                pending.append(name)
    return visited


def all_reduces(text: str) -> list[AllReduce]:
    """Finds the all-reduces of a compiled program, in the order of its instructions.

    Args:
        text: HLO text, `Compiled.as_text()`. All-reduces inside loops and branches are not found.
    """
    bodies = {}
    instructions: list[_Instruction] = []
    for name, is_entry, body in _computations(text):
        bodies[name] = body
        instructions = body if is_entry else instructions

    def count_products(body: Iterable[_Instruction]) -> int:
        count = 0
        for each in body:
            count += each.operation in _PRODUCTS
            count += sum(
                count_products(bodies[name]) for name in _references(each) if name in bodies
            )
        return count

    names = {each.name for each in instructions}
    operands_of = {
        each.name: [name for name in _references(each) if name in names] for each in instructions
    }
    users_of: dict[str, list[str]] = {}
    for name, operands in operands_of.items():
        for operand in operands:
            users_of.setdefault(operand, []).append(name)
    weights = {each.name: count_products([each]) for each in instructions}
    total = sum(weights.values())
    reductions = []
    for each in instructions:
        if each.operation in ("all-reduce", "all-reduce-start"):
            dependent = _reachable(each.name, operands_of) | _reachable(each.name, users_of)
            dependent_products = sum(weights[name] for name in dependent)
            fraction = 1 - dependent_products / total if total else 0.0
            reductions.append(AllReduce(*_arrays(each.shape), fraction))
    return reductions


def compile_step(
    name: str, devices: tuple[jax.Device, ...], examples_per_device: int
) -> tuple[jax.stages.Compiled, int]:
    """Compiles the training step of a network.

    Args:
        name: One of `serjax.models.names()`.
        devices: Devices over which a batch is sharded.
        examples_per_device: Examples of a batch on each device.

    Returns:
        Compiled step, and number of the network's parameters.
    """
    model, front_end = models.create(name, _CLASSES), models.front_end(name)
    optimizer, sharding = optax.adam(1e-4), BatchSharding("shard_map", devices)
    abstract = abstract_variables(model, front_end)
    state = jax.eval_shape(lambda variables: state_of(variables, optimizer), abstract)

    def make_examples() -> Examples:
        size = min(front_end.segment_samples, _SECONDS * front_end.sample_rate)
        samples = jnp.zeros(_UTTERANCES * size, jnp.int16)
        column = jnp.zeros(_UTTERANCES, jnp.int32)
        return Examples(samples, column, column, column, column, size)

    examples = jax.eval_shape(make_examples)
    step = make_train_step(
        model, front_end, optimizer, jax.random.key(0), _CLASSES, sharding=sharding
    )
    batch = sharding.abstract_batch(examples_per_device * len(devices))
    return step.lower(state, examples, batch, None).compile(), parameter_count(state.params)


def main() -> int:
    """Prints a row for each network; returns the exit status."""
    parser = Parser(__doc__)
    parser.add_argument(
        "--models", default="dscnn", help="names, separated by commas (%(default)s)"
    )
    parser.add_argument("--devices", type=int, default=8, help="number (%(default)s)")
    parser.add_argument("--examples", type=int, default=8, help="number per device (%(default)s)")
    arguments = parser.parse_args()
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_FLAGS}"
    jax.config.update("jax_num_cpu_devices", arguments.devices)
    devices = tuple(jax.devices("cpu"))
    print("| network | parameters | all-reduces | MB | gradients | MB that can overlap |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in arguments.models.split(","):
        program, parameters = compile_step(name, devices, arguments.examples)
        reductions = all_reduces(program.as_text() or "")
        total = sum(each.nbytes for each in reductions)
        overlapping = sum(each.nbytes for each in reductions if each.independent_fraction > 0)
        print(
            f"| `{name}` | {parameters:,} | {len(reductions)} | {total / 1e6:.2f} | "
            f"{4 * parameters / total:.1%} | {overlapping / 1e6:.2f} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    run_command(main)
