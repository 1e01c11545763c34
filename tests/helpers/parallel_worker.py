"""Training steps on several devices, in a process that has this number of virtual devices.

python -m tests.helpers.parallel_worker train FOLDER MODEL ...   every kind of step, a checkpoint
python -m tests.helpers.parallel_worker resume FOLDER            the step after that checkpoint
python -m tests.helpers.parallel_worker run FOLDER EPOCHS KIND   a whole run, or the rest of it
python -m tests.helpers.parallel_worker stream FOLDER STORED     runs on a streamed corpus
python -m tests.helpers.parallel_worker pretrain FOLDER KIND     a pretraining of RH-emo
python -m tests.helpers.parallel_worker join FOLDER COORDINATOR PROCESSES PROCESS
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

from serjax import layers, models, rhemo, training
from serjax.data import batches
from serjax.errors import InputError
from serjax.features import front_ends
from serjax.training import Checkpoints, make_evaluation_step, make_train_step
from serjax.training.devices import processes
from serjax.training.devices.batch_sharding import BatchSharding, put, shard_batches
from serjax.training.state import state_of
from tests.helpers.rhemo_config import CONFIG

SIZED = dataclasses.replace(front_ends.GUIZZO_REAL, frames=32, bins=32, segment_seconds=0.25)
VARIABLE = dataclasses.replace(front_ends.PADI, bins=16, segment_seconds=3.0)
# The second batch is the last one of an epoch: the last two of eight devices have no example.
BATCHES = np.stack([np.arange(16), np.r_[np.arange(27, 16, -1), [-1] * 5]]).astype(np.int32)
EXAMPLES = 28


class Normed(nn.Module):
    """Network with every kind of batch norm, and dropout, between two products."""

    @nn.compact
    def __call__(self, x, *, train=False, mask=None):
        is_valid = None if mask is None else mask.any(-1)[:, None]
        dense = y = nn.Dense(8)(x.reshape(x.shape[0], -1))
        for norm in (nn.BatchNorm, layers.QuaternionBatchNorm, layers.WhiteningBatchNorm):
            y = norm(use_running_average=not train, momentum=0.5)(y, mask=is_valid)
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
    """Packs tones of different pitch and length, in three classes."""
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
    # Adam's first steps are as large for a gradient of rounding errors as for any other.
    return optax.sgd(0.05, momentum=0.9)


def make_step(name, sharding, **options):
    model, front_end, augmentation = MODELS[name]
    return make_train_step(
        model,
        front_end,
        optimizer(),
        jax.random.key(2),
        3,
        augmentation,
        sharding=sharding,
        **options,
    )


def take_steps(state, name, sharding, step, rows):
    """Takes steps over some batches; returns the state and the result of each step."""
    examples = sharding.replicate(pack(MODELS[name][1]))
    results = []
    for row in rows:
        state, result = step(state, examples, sharding.put_indices(row), None)
        results.append(jax.device_get(result))
    return state, results


def take_steps_in_one_call(name, sharding, rows, steps):
    """Does the same from the first state in one call, which is padded by empty batches."""
    padded = np.pad(rows, ((0, steps - len(rows)), (0, 0)), constant_values=-1)
    examples = sharding.replicate(pack(MODELS[name][1]))
    step = make_step(name, sharding, scan_steps=steps)
    state, results = step(
        sharding.replicate(first_state(name)), examples, sharding.put_indices(padded), None
    )
    results = jax.device_get(results)
    return state, [jax.tree.map(lambda x, i=i: x[i], results) for i in range(len(rows))]


def flatten(state, results):
    """Returns the arrays of a state and of the results of steps, by name."""
    leaves = jax.tree_util.tree_leaves_with_path((state.params, state.batch_stats, results))
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def evaluate(name, sharding, state):
    model, front_end, _ = MODELS[name]
    examples = jax.tree.map(np.asarray, pack(front_end))
    step = make_evaluation_step(model, front_end, sharding=sharding)
    start, length = examples.start[:16], examples.length[:16]
    split = sharding.first_axis_sharding()
    return step(
        state.variables,
        sharding.replicate(examples.samples),
        *put((start, length), split),
        front_end.segment_samples,
    )


def train(folder, *names):
    devices = tuple(jax.devices())
    one = BatchSharding("none", devices[:1])
    shardings = {
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
        for kind, sharding in (shardings | (halves if name == "normed" else {})).items():
            state = sharding.replicate(first_state(name))
            step = make_step(name, sharding)
            state, results = take_steps(state, name, sharding, step, BATCHES)
            arrays = flatten(state, results)
            if kind in shardings and name == "normed":
                arrays["probabilities"] = np.asarray(evaluate(name, sharding, state))
            np.savez(folder / f"{name}-{kind}.npz", **arrays)
    for kind in ("shard_map", "pmap"):
        arrays = flatten(*take_steps_in_one_call("normed", shardings[kind], BATCHES, steps=3))
        np.savez(folder / f"normed-{kind}-multi-step.npz", **arrays)
    counts = {size: shard_batches(None, size).device_count for size in (4, 7, 11, 20, 64)}
    (folder / "device_counts.json").write_text(json.dumps(counts))
    sharding = shardings["shard_map"]
    state = sharding.replicate(first_state("normed"))
    state, _ = take_steps(state, "normed", sharding, make_step("normed", sharding), BATCHES[:1])
    Checkpoints(folder / "checkpoints").save_last(state, {})


def resume(folder):
    sharding = BatchSharding("shard_map", tuple(jax.devices()))
    like = sharding.replicate(first_state("normed"))
    saved = Checkpoints(folder / "checkpoints").restore_last(like)
    assert saved is not None
    step = make_step("normed", sharding)
    state, results = take_steps(saved[0], "normed", sharding, step, BATCHES[1:])
    np.savez(folder / f"resumed-{len(sharding.devices)}.npz", **flatten(state, results))


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
    """Trains a run on a corpus in memory, and the same on a streamed one over all devices."""
    for name, kind in (("in_memory", "none"), ("shard_map", "shard_map"), ("pmap", "pmap")):
        config = training.RunConfig.make(
            model="dscnn",
            dataset="tfds",
            data_dir=stored,
            model_options={"hidden": 8},
            epochs=1,
            batch_size=16,
            augment="conservative",
            parallel=kind,
            stream=name != "in_memory",
        )
        training.run(config, out=folder / name)


def pretrain(folder, kind):
    """Pretrains RH-emo, with event files for TensorBoard."""
    config = dataclasses.replace(CONFIG, run=CONFIG.run.replace(parallel=kind))
    rhemo.pretrain(config, out=folder, tensorboard=True)


def join(folder, *where):
    """Takes the two steps, with a checkpoint between them; each process has its own folder."""
    processes.join(where)
    sharding = shard_batches(None, 16)
    state = sharding.replicate(first_state("normed"))
    examples = sharding.replicate(pack(SIZED))
    lowered = make_step("normed", sharding).lower(
        state, examples, sharding.abstract_batch(16), None
    )
    step = lowered.compile()
    (folder / f"process-{jax.process_index()}.hlo").write_text(step.as_text())
    state, results = take_steps(state, "normed", sharding, step, BATCHES[:1])
    checkpoints = folder / f"checkpoints-{jax.process_index()}"
    Checkpoints(checkpoints).save_last(state, {"saved by": jax.process_index()})
    restored = Checkpoints(checkpoints).restore_last(state)
    assert restored is not None
    state, loop = restored
    state, more = take_steps(state, "normed", sharding, step, BATCHES[1:])
    arrays = flatten(state, results + more)
    arrays["probabilities"] = np.asarray(evaluate("normed", sharding, state))
    np.savez(folder / f"process-{jax.process_index()}.npz", **arrays)

    def fails_at(process):
        if jax.process_index() == process:
            raise InputError("no such file")
        return process

    results = {
        "devices": [device.process_index for device in sharding.devices],
        "loop": loop,
        "gathered": processes.gather(jax.process_index(), 7).tolist(),
        "first": processes.by_first(lambda: ("x" * 3000, jax.process_index())),
        "own": processes.by_all(jax.process_index),
        "errors": [
            message(lambda: processes.by_all(lambda: fails_at(1))),
            message(lambda: processes.by_first(lambda: fails_at(0))),
            message(lambda: processes.check_same("same", "text", BATCHES)),
            message(lambda: processes.check_same("corpus", BATCHES + jax.process_index())),
            message(lambda: shard_batches("pmap", 16)),
            message(lambda: shard_batches(None, 15)),
        ],
    }
    (folder / f"process-{jax.process_index()}.json").write_text(json.dumps(results))


def message(action):
    """Returns the message of the InputError that an action raises, or None."""
    try:
        action()
    except InputError as error:
        return str(error)
    return None


if __name__ == "__main__":
    command, folder, *others = sys.argv[1:]
    commands = {each.__name__: each for each in (train, resume, run, stream, pretrain, join)}
    commands[command](Path(folder), *others)
