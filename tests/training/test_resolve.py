"""Defaults that depend on the model or the corpus."""

import dataclasses

import pytest

from serjax import models
from serjax.errors import InputError
from serjax.features.front_ends import FRONT_ENDS
from serjax.training import RunConfig
from serjax.training.config.resolve import front_end_of, has_embedding, resolve


@pytest.mark.parametrize("dataset", ["synthetic", "emodb"])
@pytest.mark.parametrize("name", models.names())
def test_a_resolved_configuration_has_every_number(name, dataset):
    config = resolve(RunConfig.make(model=name, dataset=dataset))
    defaults = models.training_defaults(name)
    epochs = defaults.bundled_epochs if dataset == "synthetic" else defaults.epochs
    assert config.optimizer.epochs == epochs
    assert config.optimizer.batch_size == defaults.batch_size
    assert config.optimizer.learning_rate == defaults.learning_rate
    assert (config.model.embedding is None) != has_embedding(name)


def test_values_of_the_user_stay():
    config = RunConfig.make(
        model="quat_vgg16", epochs=7, batch_size=3, learning_rate=0.5, embedding="random"
    )
    resolved = resolve(config)
    assert dataclasses.asdict(resolved.optimizer) == dataclasses.asdict(config.optimizer)
    assert resolved.model.embedding == "random"
    assert resolve(resolved) == resolved


@pytest.mark.parametrize(
    ("fields", "embedding"),
    [
        ({"dataset": "synthetic"}, "pretrained"),
        ({"dataset": "emodb"}, "random"),
        ({"dataset": "ravdess", "test_dataset": "emodb"}, "random"),
    ],
)
def test_the_shipped_encoder_is_no_default_on_its_own_corpus(fields, embedding):
    resolved = resolve(RunConfig.make(model="quat_vgg16", **fields))
    assert resolved.model.embedding == embedding


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_the_front_end_is_the_chosen_one(name):
    assert front_end_of(RunConfig.make(model="dscnn", front_end=name)) == FRONT_ENDS[name]


def test_options_change_the_front_end():
    default = models.front_end("dscnn")
    changed = front_end_of(RunConfig.make(model="dscnn", silence="remove"))
    assert changed == dataclasses.replace(default, silence="remove")
    with pytest.raises(InputError, match="unknown front end 'pady'"):
        front_end_of(RunConfig.make(model="dscnn", front_end="pady"))
