"""Sources of batches: examples in memory and streamed ones give the same predictions."""

import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from serjax import data, training
from serjax.training.build import abstract_variables, build_model, input_shape
from serjax.training.config.resolve import front_end_of, resolve
from serjax.training.devices.batch_sharding import shard_batches
from serjax.training.input.source import source_of
from tests.helpers.networks import random_variables

pytestmark = pytest.mark.usefixtures("standard_promotion")


def mean_and_first_logit(logits, features, x):
    """A prediction function other than probabilities."""
    return jnp.stack([x.mean((1, 2, 3)), logits[:, 0]], axis=-1)


def test_streamed_predictions_are_those_of_examples_in_memory(tmp_path):
    data.build("synthetic", None, tmp_path, speakers=4, words=1)
    predictions = {}
    for stream in (False, True):
        config = resolve(
            training.RunConfig.make(
                model="dscnn",
                dataset="tfds",
                data_dir=str(tmp_path),
                model_options={"hidden": 4},
                stream=stream,
            )
        )
        front_end = front_end_of(config)
        dataset = training.prepare_dataset(config, front_end, Console(quiet=True))
        assert (dataset.lazy_waveforms is not None) == stream
        model = build_model(config, len(dataset.classes))
        variables = random_variables(model, input_shape(front_end))
        sharding = shard_batches(None, 8, streamed=stream)
        source = source_of(dataset, model, front_end, 8, 1, sharding, mean_and_first_logit)
        assert abstract_variables(model, front_end).keys() == variables.keys()
        utterances = np.sort(dataset.split.test)
        predictions[stream] = source.evaluate(variables, utterances)
        assert predictions[stream].shape == (len(utterances), 2)
    np.testing.assert_array_equal(predictions[True], predictions[False])
