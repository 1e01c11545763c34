"""Memory of a step: peak, rematerialization, and errors when it runs out."""

import jax
import jax.numpy as jnp
import pytest

from serjax.errors import InputError
from serjax.training.devices import memory


def test_the_peak_is_arguments_results_and_temporaries():
    x = jax.ShapeDtypeStruct((1000,), jnp.float32)
    add = jax.jit(lambda x: x + 1).lower(x).compile()
    assert memory.peak_bytes(add) == 2 * 4000
    assert memory.peak_bytes(jax.jit(lambda x: x + 1, donate_argnums=0).lower(x).compile()) == 4000


@pytest.mark.parametrize(("remat", "are_saved"), [("dots", True), ("everything", False)])
def test_products_are_saved_or_computed_again(remat, are_saved):
    """The gradient of two products reads the first one's result: saved, or multiplied again."""

    def loss(weight):
        return jnp.sum(jnp.tanh(jnp.tanh(jnp.ones((4, 4)) @ weight) @ weight))

    def products(function):
        return str(jax.make_jaxpr(jax.grad(function))(jnp.ones((4, 4)))).count("dot_general")

    repeated = products(memory.rematerialize(loss, remat)) - products(loss)
    assert (repeated == 0) == are_saved


def test_out_of_memory_names_remedies():
    message = r"with 8 examples at once; .*: --accumulate 2, --remat dots, --batch-size 8, "
    with pytest.raises(InputError, match=message), memory.explain_out_of_memory(16, 2, 1, "none"):
        jnp.zeros(2**50, jnp.uint8)


def test_other_errors_do_not_change():
    with pytest.raises(jax.errors.JaxRuntimeError), memory.explain_out_of_memory(16, 1, 1, "none"):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")
