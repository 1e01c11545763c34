"""Steps on several devices, for `test_parallel.py`, in a process that has as many.

python tests/helpers/parallel_worker.py train FOLDER MODEL ...   every kind of step, and a checkpoint
python tests/helpers/parallel_worker.py resume FOLDER            the step after that checkpoint
python tests/helpers/parallel_worker.py run FOLDER EPOCHS KIND   a whole run, or the rest of it
python tests/helpers/parallel_worker.py join FOLDER COORDINATOR PROCESSES PROCESS
                                                         steps of several processes
"""

import dataclasses
import json
import sys
from pathlib import Path

import flax.linen as nn
import jax
import numpy as np
import optax

from serjax import layers, models, training
from serjax.data import batches
from serjax.errors import InputError
from serjax.features import front_ends
from serjax.training import Checkpoints, make_evaluation_step, make_train_step
from serjax.training.devices import processes
from serjax.training.devices.batch_sharding import BatchSharding, divide, put
from serjax.training.state import state_of

SIZED = dataclasses.replace(front_ends.GUIZZO_REAL, frames=32, bins=32, segment_seconds=0.25)
VARIABLE = dataclasses.replace(front_ends.PADI, bins=16, segment_seconds=3.0)
# The second is a last batch, whose last two of eight devices have no example.
BATCHES = np.stack([np.arange(16), np.r_[np.arange(27, 16, -1), [-1] * 5]]).astype(np.int32)
EXAMPLES = 28


class Normed(nn.Module):
    """Every kind of batch norm, and dropout, between two products."""

    @nn.compact
    def __call__(self, x, *, train=False, mask=None):
        filled = None if mask is None else mask.any(-1)[:, None]
        dense = y = nn.Dense(8)(x.reshape(x.shape[0], -1))
        for norm in (nn.BatchNorm, layers.QuaternionBatchNorm, layers.WhiteningBatchNorm):
            y = norm(use_running_average=not train, momentum=0.5)(y, mask=filled)
        y = nn.Dropout(0.25, deterministic=not train)(y)
        return nn.Dense(3)(y), {"dense": dense}


MODELS = {
    "normed": (Normed(), SIZED, "conservative"),
    "dscnn": (models.create("dscnn", 3, hidden=8), SIZED, "conservative"),
    "resnet34_stats": (
        models.create("resnet34_stats", 3, blocks=(1, 1), channels=4, hidden=8),
        VARIABLE,
        "conservative",
    ),
}


def pack(front_end):
    """Tones of different pitch and length, in three classes."""
    rng = np.random.default_rng(0)
    size = front_end.segment_samples
    lengths = rng.integers(size // 3, size, EXAMPLES)
    waves = [
        0.3 * np.sin(np.arange(n) * rng.uniform(0.05, 0.5)) + 0.05 * rng.normal(size=n)
        for n in lengths
    ]
    labels = (np.arange(EXAMPLES) % 3).tolist()
    return batches.pack([w.astype(np.float32) for w in waves], labels, size, room=size)


def first_state(name):
    model, front_end, _ = MODELS[name]
    x = np.zeros((1, *front_end.input_shape), np.float32)
    return state_of(jax.jit(model.init)(jax.random.key(1), x), optimizer())


def optimizer():
    # Adam's first steps are as large for a gradient of rounding errors as for another.
    return optax.sgd(0.05, momentum=0.9)


def make_step(name, division, **options):
    model, front_end, augmentation = MODELS[name]
    return make_train_step(
        model,
        front_end,
        optimizer(),
        jax.random.key(2),
        3,
        augmentation,
        division=division,
        **options,
    )


def take(state, name, division, step, rows):
    """Steps over some batches; the state, and the sums that each step told."""
    examples = division.replicate(pack(MODELS[name][1]))
    told = []
    for row in rows:
        state, result = step(state, examples, division.split(row), None)
        told.append(jax.device_get(result))
    return state, told


def take_together(name, division, rows, steps):
    """The same from the first state, in one call that is filled up with empty batches."""
    filled = np.pad(rows, ((0, steps - len(rows)), (0, 0)), constant_values=-1)
    examples = division.replicate(pack(MODELS[name][1]))
    step = make_step(name, division, scan_steps=steps)
    state, told = step(
        division.replicate(first_state(name)), examples, division.split(filled), None
    )
    told = jax.device_get(told)
    return state, [jax.tree.map(lambda x, i=i: x[i], told) for i in range(len(rows))]


def flat(state, told):
    """Arrays by name, of a state and of what was told."""
    leaves = jax.tree_util.tree_leaves_with_path((state.params, state.batch_stats, told))
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def evaluate(name, division, state):
    model, front_end, _ = MODELS[name]
    examples = jax.tree.map(np.asarray, pack(front_end))
    step = make_evaluation_step(model, front_end, division=division)
    start, length = examples.start[:16], examples.length[:16]
    split = division.split_sharding()
    return step(
        state.variables,
        division.replicate(examples.samples),
        *put((start, length), split),
        front_end.segment_samples,
    )


def train(folder, *names):
    devices = tuple(jax.devices())
    one = BatchSharding("none", devices[:1])
    divisions = {
        "none": one,
        "shard_map": BatchSharding("shard_map", devices),
        "pmap": BatchSharding("pmap", devices),
    }
    halves = {
        "none-2": dataclasses.replace(one, accumulate=2),
        "shard_map-2": BatchSharding("shard_map", devices, accumulate=2),
        "own": BatchSharding("shard_map", devices[:2], sync_batch_norm=False),
    }
    for name in names:
        for kind, division in (divisions | (halves if name == "normed" else {})).items():
            state = division.replicate(first_state(name))
            step = make_step(name, division)
            state, told = take(state, name, division, step, BATCHES)
            arrays = flat(state, told)
            if kind in divisions and name == "normed":
                arrays["probabilities"] = np.asarray(evaluate(name, division, state))
            np.savez(folder / f"{name}-{kind}.npz", **arrays)
    for kind in ("shard_map", "pmap"):
        arrays = flat(*take_together("normed", divisions[kind], BATCHES, steps=3))
        np.savez(folder / f"normed-{kind}-block.npz", **arrays)
    shares = {size: divide(None, size).device_count for size in (4, 7, 11, 20, 64)}
    (folder / "shares.json").write_text(json.dumps(shares))
    division = divisions["shard_map"]
    state = division.replicate(first_state("normed"))
    state, _ = take(state, "normed", division, make_step("normed", division), BATCHES[:1])
    Checkpoints(folder / "checkpoints").save_last(state, {})


def resume(folder):
    division = BatchSharding("shard_map", tuple(jax.devices()))
    like = division.replicate(first_state("normed"))
    saved = Checkpoints(folder / "checkpoints").restore_last(like)
    assert saved is not None
    step = make_step("normed", division)
    state, told = take(saved[0], "normed", division, step, BATCHES[1:])
    np.savez(folder / f"resumed-{len(division.devices)}.npz", **flat(state, told))


def run(folder, epochs, kind):
    config = training.RunConfig.make(
        model="dscnn",
        dataset_options={"speakers": 6, "words": 2},
        model_options={"hidden": 8},
        epochs=int(epochs),
        batch_size=8,
        schedule="constant",
        parallel=kind,
    )
    training.run(config, out=folder, resume=folder.exists())


def stream(folder, stored):
    """One run on a resident corpus, and the same on a streamed one, over all devices."""
    for name, kind in (("resident", "none"), ("shard_map", "shard_map"), ("pmap", "pmap")):
        config = training.RunConfig.make(
            model="dscnn",
            dataset="tfds",
            data_dir=stored,
            model_options={"hidden": 8},
            epochs=1,
            batch_size=16,
            augmentation="conservative",
            parallel=kind,
            stream=name != "resident",
        )
        training.run(config, out=folder / name)


def join(folder, *where):
    """The two steps, with a checkpoint between them of which each process has its own folder."""
    processes.join(where)
    division = divide(None, 16)
    state = division.replicate(first_state("normed"))
    examples = division.replicate(pack(SIZED))
    lowered = make_step("normed", division).lower(
        state, examples, division.abstract_batch(16), None
    )
    step = lowered.compile()
    (folder / f"process-{jax.process_index()}.hlo").write_text(step.as_text())
    state, told = take(state, "normed", division, step, BATCHES[:1])
    mine = folder / f"checkpoints-{jax.process_index()}"
    Checkpoints(mine).save_last(state, {"saved by": jax.process_index()})
    restored = Checkpoints(mine).restore_last(state)
    assert restored is not None
    state, loop = restored
    state, more = take(state, "normed", division, step, BATCHES[1:])
    arrays = flat(state, told + more)
    arrays["probabilities"] = np.asarray(evaluate("normed", division, state))
    np.savez(folder / f"process-{jax.process_index()}.npz", **arrays)

    def fails_at(process):
        if jax.process_index() == process:
            raise InputError("no such file")
        return process

    heard = {
        "devices": [device.process_index for device in division.devices],
        "loop": loop,
        "gathered": processes.gather(jax.process_index(), 7).tolist(),
        "first": processes.by_first(lambda: ("x" * 3000, jax.process_index())),
        "own": processes.by_all(jax.process_index),
        "errors": [
            message(lambda: processes.by_all(lambda: fails_at(1))),
            message(lambda: processes.by_first(lambda: fails_at(0))),
            message(lambda: processes.check_same("same", "text", BATCHES)),
            message(lambda: processes.check_same("corpus", BATCHES + jax.process_index())),
            message(lambda: divide("pmap", 16)),
            message(lambda: divide(None, 15)),
        ],
    }
    (folder / f"process-{jax.process_index()}.json").write_text(json.dumps(heard))


def message(action):
    """Of the InputError that an action raises, if it does."""
    try:
        action()
    except InputError as error:
        return str(error)
    return None


if __name__ == "__main__":
    command, folder, *others = sys.argv[1:]
    commands = {"train": train, "resume": resume, "run": run, "stream": stream, "join": join}
    commands[command](Path(folder), *others)
