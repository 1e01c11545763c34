import dataclasses
import time

import jax.numpy as jnp
import numpy as np

from benchmarks import measure
from benchmarks.programs import Program, compile_program, with_random_signs


def test_every_program_is_called_in_every_round():
    calls = []

    def counted(name):
        program = compile_program(lambda x: x + 1, jnp.zeros(()))
        call = lambda x: calls.append(name) or program.call(x)  # noqa: E731
        return Program(call, program.arguments, 0.0, 0, 0, 0.0)

    seconds = measure.time_interleaved({"a": counted("a"), "b": counted("b")}, rounds=20)
    rounds = [tuple(calls[index : index + 2]) for index in range(0, len(calls), 2)]
    assert len(rounds) == 21  # including the warm-up
    assert set(rounds) == {("a", "b"), ("b", "a")}
    assert {name: values.shape for name, values in seconds.items()} == {"a": (20,), "b": (20,)}
    assert all((values > 0).all() for values in seconds.values())


def test_inputs_differ_between_rounds_but_not_between_programs():
    x, fixed = jnp.arange(1.0, 9.0), jnp.ones(8)
    inputs = {"a": [], "b": []}

    def recording(name):
        program = compile_program(lambda x, y: x + y, x, fixed)

        def call(*arguments):
            inputs[name].append(np.array(arguments))
            return program.call(*arguments)

        return with_random_signs(dataclasses.replace(program, call=call), 0)

    measure.time_interleaved({name: recording(name) for name in inputs}, rounds=3)
    np.testing.assert_array_equal(inputs["a"], inputs["b"])
    rounds = np.array(inputs["a"])[1:]  # the first call is the warm-up
    np.testing.assert_array_equal(np.abs(rounds[:, 0]), np.broadcast_to(x, (3, 8)))
    assert len({tuple(signs) for signs in rounds[:, 0]}) == 3
    assert (rounds[:, 1] == 1).all()


def test_known_sleeps_are_measured():
    def sleeping(seconds):
        return Program(lambda: time.sleep(seconds), (), None, None, None, 0.0)

    durations = measure.time_interleaved({"short": sleeping(0.01), "long": sleeping(0.1)}, rounds=5)
    shortest = {name: seconds.min() for name, seconds in durations.items()}
    # A sleep is never shorter than requested. On a busy machine it is longer, but at least one of
    # five rounds is close.
    assert shortest["short"] >= 0.01
    assert shortest["long"] >= 0.1
    assert shortest["long"] > 3 * shortest["short"]


def test_median_and_quartiles_of_known_values():
    assert measure.median_and_quartiles(np.arange(5.0)) == (2.0, 1.0, 3.0)


def test_an_interval_contains_the_median_as_often_as_stated():
    interval = measure.median_and_interval
    assert interval(np.arange(10.0)) == (4.5, 1, 8)  # tables of the sign test
    assert interval(np.arange(6.0)) == (2.5, 0, 5)
    assert interval(np.arange(3.0)) == (1, 0, 2)  # the range
    rng = np.random.default_rng(0)
    ends = np.array([interval(rng.exponential(size=20))[1:] for _ in range(500)])
    assert np.mean((ends[:, 0] <= np.log(2)) & (np.log(2) <= ends[:, 1])) > 0.93
