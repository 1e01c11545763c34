"""The same configuration for several models."""

import dataclasses

from serjax.training import RunConfig
from serjax.training.config.variants import for_models


def test_only_the_model_differs():
    config = RunConfig.make(epochs=2)
    configs, lines = for_models(config, ["dscnn", "svm"])
    assert list(configs) == ["dscnn", "svm"]
    assert lines == ()
    for name, variant in configs.items():
        assert variant == config.replace(model=name)


def test_networks_without_an_encoder_take_no_embedding():
    configs, lines = for_models(RunConfig.make(embedding="random"), ["quat_vgg16", "dscnn"])
    assert configs["quat_vgg16"].model.embedding == "random"
    assert configs["dscnn"].model.embedding is None
    assert lines == ("dscnn has no embedding that could be random",)


def test_an_embedding_that_no_network_takes_is_left_for_the_checks():
    configs, lines = for_models(RunConfig.make(embedding="random"), ["dscnn", "vgg16"])
    assert {config.model.embedding for config in configs.values()} == {"random"}
    assert lines == ()
    assert dataclasses.replace(configs["dscnn"], model=configs["vgg16"].model) == configs["vgg16"]
