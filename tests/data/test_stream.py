"""Streams of stored corpora: contents of an epoch, resumption, shards and memory."""

import dataclasses
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import flax.linen as nn
import grain
import jax
import numpy as np
import optax
import pytest

from serjax import data
from serjax.data.batches import length_sizes, pack, segment_starts
from serjax.data.corpus import Corpus, Utterance
from serjax.data.storage import builder, streaming
from serjax.data.storage.store import Stored
from serjax.errors import InputError
from serjax.features import front_ends
from serjax.training import create_state, make_train_step

COUNT = 103
SIZES = (250, 500, 1000)


def waveform(index: int) -> np.ndarray:
    """White noise of 100 to 1299 samples, int16: some are longer than the longest size."""
    draw = np.random.default_rng(index)
    return draw.integers(-32768, 32768, draw.integers(100, 1300)).astype(np.int16)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Stored:
    def read(utterance: Utterance, sample_rate: int) -> np.ndarray:
        return waveform(int(utterance.path)).astype(np.float32) / 32768

    folder = tmp_path_factory.mktemp("stored")
    utterances = tuple(Utterance(f"{i:03d}") for i in range(COUNT))
    builder.write(Corpus("noise", utterances, read), folder)
    return data.open_stored(folder)


def valid_entries(batch: streaming.Batch) -> list[tuple[int, bytes]]:
    """Record and samples of the entries that are not empty."""
    return [
        (int(record), row[:length].tobytes())
        for row, length, record in zip(batch.samples, batch.length, batch.record, strict=True)
        if length
    ]


def is_equal(one: streaming.Batch, other: streaming.Batch) -> bool:
    return jax.tree.all(jax.tree.map(np.array_equal, one, other))


def expected() -> Counter:
    """Every segment once, from the definition of the waveforms."""
    whole = {i: waveform(i) for i in range(COUNT)}
    return Counter(
        (i, w[start : start + 1000].tobytes())
        for i, w in whole.items()
        for start in segment_starts(len(w), 1000)
    )


@pytest.mark.parametrize("seed", [0, None])
def test_every_epoch_holds_every_sample_once(corpus, seed):
    streamed = list(streaming.batches(corpus, 10, SIZES, epochs=3, seed=seed))
    epochs = [
        streamed[i : i + len(streamed) // 3] for i in range(0, len(streamed), len(streamed) // 3)
    ]
    assert len(epochs) == 3
    for epoch in epochs:
        assert Counter(entry for batch in epoch for entry in valid_entries(batch)) == expected()
        assert {batch.samples.shape[1] for batch in epoch} == set(SIZES)
    for batch in streamed:
        _, size = batch.samples.shape
        least = [0, *SIZES][SIZES.index(size)]
        empty = batch.record < 0
        assert ((batch.length > least) & (batch.length <= size) | empty).all()
        assert not batch.length[empty].any()
        padding = np.arange(size) >= batch.length[:, None]
        assert not batch.samples[padding].any()
    first, second, _ = [[valid_entries(batch) for batch in epoch] for epoch in epochs]
    assert (first == second) == (seed is None)


def test_seed_decides_the_order(corpus):
    one, again, other = (
        [valid_entries(batch) for batch in streaming.batches(corpus, 10, SIZES, seed=seed)]
        for seed in (7, 7, 8)
    )
    assert one == again
    assert one != other


@pytest.mark.parametrize("stop", [0, 5, 15, 20])
def test_resumes_at_the_same_batch(corpus, stop):
    # An epoch is 15 batches: stops are at its start, in it, at its end, and in the second.
    whole = list(streaming.batches(corpus, 10, SIZES, epochs=2))
    assert len(whole) == 30
    iterator = iter(streaming.batches(corpus, 10, SIZES, epochs=2))
    for _ in range(stop):
        next(iterator)
    state = json.dumps(iterator.get_state())
    resumed = iter(streaming.batches(corpus, 10, SIZES, epochs=2))
    resumed.set_state(json.loads(state))
    rest = list(resumed)
    assert len(rest) == len(whole) - stop
    assert all(is_equal(one, other) for one, other in zip(rest, whole[stop:], strict=True))


def test_shards_are_disjoint_and_complete(corpus):
    whole = list(streaming.batches(corpus, 10, SIZES))
    shards = [list(streaming.batches(corpus, 10, SIZES, shard=(i, 2))) for i in range(2)]
    entries = [[entry for batch in shard for entry in valid_entries(batch)] for shard in shards]
    assert not set(entries[0]) & set(entries[1])
    assert Counter(entries[0] + entries[1]) == expected()
    # All shards take part in every step, with the same shapes.
    for whole_batch, left, right in zip(whole, *shards, strict=True):
        assert left.samples.shape == right.samples.shape == (5, whole_batch.samples.shape[1])
        assert sorted(valid_entries(left) + valid_entries(right)) == sorted(
            valid_entries(whole_batch)
        )


def test_subset_of_a_corpus(corpus):
    indices = np.array([4, 8, 15, 16, 23, 42])
    streamed = list(streaming.batches(corpus, 4, [1300], indices=indices))
    assert sorted(r for batch in streamed for r in batch.record if r >= 0) == indices.tolist()


def test_sizes_bound_what_is_compiled(corpus):
    compiled = []

    @jax.jit
    def total(batch: streaming.Batch) -> jax.Array:
        compiled.append(batch.samples.shape)
        return batch.samples.astype(np.int32).sum()

    sizes = length_sizes(1300, 250)
    for batch in streaming.batches(corpus, 10, sizes, epochs=2):
        assert total(batch) == batch.samples.sum(dtype=np.int32)
    assert sorted(compiled) == [(10, size) for size in sizes]


def test_moves_to_the_device_ahead(corpus):
    batches = streaming.batches(corpus, 10, SIZES)
    moved = grain.experimental.device_put(batches, jax.devices()[0])
    for one, other in zip(batches, moved, strict=True):
        assert isinstance(other.samples, jax.Array)
        assert is_equal(one, other)


class Linear(nn.Module):
    """Logits that depend on the input and compile fast."""

    @nn.compact
    def __call__(self, x, *, train=False, mask=None):
        flat = x.reshape(x.shape[0], -1)
        return flat @ self.param("weight", nn.initializers.normal(), (flat.shape[1], 3)), {}


@pytest.mark.usefixtures("standard_promotion")
def test_training_on_a_stream_is_training_on_the_device(corpus):
    front_end = dataclasses.replace(
        front_ends.GUIZZO_REAL, frames=16, bins=16, segment_seconds=1 / 8
    )
    longest = front_end.segment_samples
    labels = np.arange(COUNT) % 3
    optimizer = optax.sgd(0.1)
    step = make_train_step(Linear(), front_end, optimizer, jax.random.key(1), 3)

    def start():
        return create_state(Linear(), optimizer, jax.random.key(2), (1, *front_end.input_shape))

    waveforms = [waveform(i).astype(np.float32) / 32768 for i in range(COUNT)]
    resident = pack(waveforms, labels.tolist(), longest, longest)
    streamed, expected = start(), start()
    initial = np.asarray(streamed.params["weight"])
    # Only whole utterances, whose index is that of the record.
    for batch in streaming.batches(corpus, 30, [1000, longest]):
        examples, indices = streaming.to_examples(batch, labels)
        streamed, one = step(streamed, examples, indices)
        expected, other = step(expected, resident, batch.record)
        np.testing.assert_array_equal(one.confusion, other.confusion)
        np.testing.assert_allclose(one.loss, other.loss, rtol=1e-5)
    weights = [np.asarray(state.params["weight"]) for state in (streamed, expected)]
    # On the device, utterances have no offset, up to half a step of 16 bits.
    np.testing.assert_allclose(*weights, rtol=0, atol=2e-5)
    assert np.abs(weights[0] - initial).max() > 1e-3


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch_size": 9, "shard": (0, 2)}, "expected a multiple of 2 shards, found 9"),
        ({"batch_size": 0}, "expected a multiple of 1 shards, found 0"),
        ({"shard": (2, 2)}, r"expected an index below the number of shards, found \(2, 2\)"),
        ({"sizes": []}, r"expected ascending numbers of samples, found \[\]"),
        ({"sizes": [2, 1]}, r"expected ascending numbers of samples, found \[2, 1\]"),
        ({"seed": -1}, r"seed: expected a number in \[0, 2\*\*32\), found -1"),
        ({"indices": np.array([], int)}, "stream of noise: .*, found 0 utterances, 1 epochs"),
        ({"epochs": 0}, "stream of noise: .*, found 103 utterances, 0 epochs"),
    ],
)
def test_errors(corpus, changed, message):
    with pytest.raises(InputError, match=message):
        streaming.batches(corpus, **{"batch_size": 10, "sizes": SIZES, **changed})


_MEMORY = """if True:
    import pathlib, sys
    import numpy as np
    from serjax import data
    from serjax.data.corpus import Corpus, Utterance
    from serjax.data.storage import builder, streaming

    folder, count = sys.argv[1], int(sys.argv[2])

    def read(utterance, sample_rate):
        value = np.float32(int(utterance.path) % 32768) / 32768
        return np.full(1600, value, np.float32)

    utterances = tuple(Utterance(f"{i:06d}", "anger", f"{i % 99}") for i in range(count))
    builder.write(Corpus("constant", utterances, read), folder)
    stored = data.open_stored(folder)
    seen = np.zeros(count, int)
    for batch in streaming.batches(stored, 500, [1600]):
        valid = batch.record >= 0
        seen[batch.record[valid]] += 1
        assert (batch.samples[valid] == batch.record[valid, None] % 32768).all()
    assert (seen == 1).all()
    assert "tensorflow" not in sys.modules
    # Not getrusage, whose peak includes that of the parent process.
    status = pathlib.Path("/proc/self/status").read_text()
    print(status.split("VmHWM:")[1].split()[0])
"""


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="only Linux reports the peak memory of a process"
)
@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_streams_within_2_gib(count: int, tmp_path: Path):
    arguments = [sys.executable, "-c", _MEMORY, str(tmp_path), str(count)]
    ended = subprocess.run(arguments, check=True, capture_output=True, text=True)
    # The peak includes writing; in kibibytes.
    assert int(ended.stdout.split()[-1]) < 2 * 2**20
