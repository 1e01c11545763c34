"""Groups of a run's configuration, and the short names of their options."""

import dataclasses

import pytest

from serjax import classical, models, options
from serjax.errors import InputError
from serjax.training import RunConfig


def test_short_names_reach_every_option_once():
    names = [path.rpartition(".")[2] for path in options.options_of(RunConfig())]
    assert len(names) == len(set(names))


def test_options_are_set_in_their_groups():
    config = RunConfig.make(model="dscnn", epochs=3, dataset="emodb", seed=4)
    assert (config.model.name, config.optimizer.epochs) == ("dscnn", 3)
    assert (config.data.dataset, config.seed) == ("emodb", 4)


def test_a_replacement_leaves_the_rest():
    config = RunConfig.make(model="dscnn", epochs=3)
    changed = config.replace(batch_size=5)
    assert changed.optimizer == dataclasses.replace(config.optimizer, batch_size=5)
    assert dataclasses.replace(changed, optimizer=config.optimizer) == config


def test_unknown_options_name_the_nearest():
    with pytest.raises(InputError, match="did you mean 'epochs'"):
        RunConfig.make(epoch=3)


@pytest.mark.parametrize("name", [*classical.names(), *models.names()])
def test_classical_models_are_told_from_networks(name):
    assert RunConfig.make(model=name).is_classical == (name in classical.names())


def test_the_split_has_the_seed_of_the_run_unless_it_has_its_own():
    assert RunConfig.make(seed=3).split_seed == 3
    assert RunConfig.make(seed=3, split_seed=0).split_seed == 0
