"""Networks from a configuration."""

import jax
import pytest

from serjax.errors import InputError
from serjax.training import RunConfig
from serjax.training.build import abstract_variables, build_model, input_shape
from serjax.training.config.resolve import front_end_of, resolve

pytestmark = pytest.mark.usefixtures("standard_promotion")


def test_a_network_has_the_options_of_its_configuration():
    config = resolve(RunConfig.make(model="dscnn", model_options={"hidden": 8}))
    model = build_model(config, 3)
    front_end = front_end_of(config)
    assert (model.num_classes, model.hidden) == (3, 8)
    variables = abstract_variables(model, front_end)
    assert set(variables) == {"params", "batch_stats"}
    x = jax.ShapeDtypeStruct((2, *input_shape(front_end)[1:]), "float32")
    logits, _ = jax.eval_shape(model.apply, variables, x)
    assert logits.shape == (2, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hiden": 8}, "did you mean 'hidden'"),
        ({"hidden": "eight"}, "hidden"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_compiled(options, message):
    config = resolve(RunConfig.make(model="dscnn", model_options=options))
    with pytest.raises(InputError, match=message):
        build_model(config, 3)
