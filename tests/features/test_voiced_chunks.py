"""Model input of Kapoor & Kumar: voiced chunks as colour images, one per utterance and epoch."""

import dataclasses
import io

import jax
import numpy as np
import pytest
from rich.console import Console
from safetensors.numpy import save_file

from serjax import data, report, training
from serjax.data import batches
from serjax.errors import InputError
from serjax.features import front_ends, voice_activity
from serjax.training.checks import check_config
from serjax.training.config.resolve import front_end_of
from tests.helpers.networks import torch_state

pytestmark = pytest.mark.usefixtures("standard_promotion")

RATE = 16_000


def test_voiced_speech_is_selected():
    seconds = np.arange(RATE) / RATE
    # A harmonic tone between silence and noise.
    tone = sum(np.sin(2 * np.pi * 150 * k * seconds) / k for k in (1, 2, 3)) / 3
    rng = np.random.default_rng(0)
    waveform = np.concatenate([np.zeros(4_000), tone, 0.05 * rng.normal(size=4_000)]).astype("f")
    (speech,) = front_ends.KAPOOR.select_speech([waveform])
    # The definition: the voiced blocks, one after the other.
    voiced = np.asarray(voice_activity.voiced_frames(waveform))
    blocks = [waveform[160 * i : 160 * (i + 1)] for i in np.flatnonzero(voiced)]
    np.testing.assert_array_equal(speech, np.concatenate(blocks))
    assert 0.8 * len(tone) < len(speech) < 1.2 * len(tone)


def test_an_utterance_without_a_voiced_chunk_does_not_change():
    quiet = np.zeros(2_000, np.float32)
    (speech,) = front_ends.KAPOOR.select_speech([quiet])
    assert speech is quiet
    waveforms = [quiet]
    assert front_ends.DEEPIKA.select_speech(waveforms) is waveforms


def test_chunks_are_images_of_30_ms():
    front_end = front_ends.KAPOOR
    assert front_end.segment_samples == 0.03 * RATE
    x, mask = jax.jit(front_end)(
        np.sin(np.arange(960, dtype=np.float32).reshape(2, 480) / 20), np.array([480, 480])
    )
    assert x.shape == (2, 224, 224, 3)
    assert mask.all()


def test_an_epoch_samples_one_segment_of_each_utterance():
    utterance_ids = np.repeat(np.arange(6), (1, 5, 2, 7, 3, 4))
    indices = np.flatnonzero(utterance_ids != 2)
    epochs = [
        batches.one_segment_per_utterance(jax.random.key(i), indices, utterance_ids)
        for i in range(40)
    ]
    for segments in epochs:
        np.testing.assert_array_equal(utterance_ids[segments], [0, 1, 3, 4, 5])
    # In 40 epochs every segment of the longest utterance is sampled: the probability of missing one
    # is 1.5 %.
    assert len({int(segments[2]) for segments in epochs}) == 7


def test_front_ends_are_selected_by_name():
    config = training.RunConfig.make(model="squeezenet", front_end="kapoor")
    assert front_end_of(config) == front_ends.KAPOOR
    config = config.replace(image_size=(64, 64), silence="keep")
    front_end = front_end_of(config)
    assert front_end.input_shape == (64, 64, 3)
    assert front_end.silence == "keep"
    with pytest.raises(InputError, match="unknown front end 'kapor': did you mean 'kapoor'"):
        check_config(config.replace(front_end="kapor"))


def test_a_network_trains_on_chunks_from_pretrained_weights(tmp_path):
    save_file(torch_state(), tmp_path / "resnet.safetensors")
    config = training.RunConfig.make(
        model="resnet18",
        model_options={"blocks": (1, 1), "channels": 8, "pooling": "max", "hidden": 4},
        dataset_options={"speakers": 3, "words": 1},
        front_end="kapoor",
        image_size=(32, 32),
        init=str(tmp_path / "resnet.safetensors"),
        optimizer="adadelta",
        learning_rate=1e-4,
        schedule="constant",
        batch_size=4,
        epochs=1,
    )
    folder = training.run(config, out=tmp_path / "run", console=Console(file=io.StringIO()))
    predictions = report.read_predictions(folder / "predictions.csv")
    recognizer = training.Recognizer(folder)
    corpus, waveforms = data.waveforms(data.load("synthetic", **config.data.dataset_options))
    probabilities = dict(zip(corpus.column("path"), recognizer(waveforms), strict=True))
    for path, expected in zip(predictions.paths, predictions.probabilities, strict=True):
        np.testing.assert_allclose(probabilities[path], expected, atol=1e-5)


def test_one_voiced_segment_is_the_middle_of_the_voiced_speech():
    tone = np.sin(2 * np.pi * 200 * np.arange(4800) / 16_000).astype(np.float32)
    utterance = np.concatenate([np.zeros(3200, np.float32), tone, np.zeros(1600, np.float32)])
    everything, one = (
        dataclasses.replace(front_ends.KAPOOR, silence=silence)
        for silence in ("voiced", "voiced_segment")
    )
    (voiced,), (segment,) = (each.select_speech([utterance]) for each in (everything, one))
    spare = len(voiced) - one.segment_samples
    assert spare > 1000
    np.testing.assert_array_equal(segment, voiced[spare // 2 :][: one.segment_samples])
    assert len(batches.pack([segment], [0], one.segment_samples, room=one.segment_samples)) == 1
    short = utterance[3200:3500]  # no longer than a segment
    (kept,) = one.select_speech([short])
    np.testing.assert_array_equal(kept, short)
