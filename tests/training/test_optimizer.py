"""Optimizers and learning-rate schedules."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from serjax import options, training
from serjax.training.optimization.optimizer import learning_rate, make_optimizer, step_decay

pytestmark = pytest.mark.usefixtures("standard_promotion")

CONFIG = training.RunConfig.make(learning_rate=0.1, schedule="constant")


def path(steps=6, steps_per_epoch=2, epochs=3, **values):
    """Returns the parameters after each step on half their squared norm, from (1, -2)."""
    config = CONFIG.replace(**values)
    optimizer = make_optimizer(config, learning_rate(config, steps_per_epoch, epochs))
    params = jnp.array([1.0, -2.0])
    state = optimizer.init(params)
    points = [params]
    for _ in range(steps):
        updates, state = optimizer.update(params, state, params)
        params = params + updates
        points.append(params)
    return np.stack(points)


def pytorch_path(make, steps=6):
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'serjax[torch]'")
    params = torch.tensor([1.0, -2.0], requires_grad=True)
    optimizer = make(torch.optim, [params])
    points = [params.detach().numpy().copy()]
    for _ in range(steps):
        optimizer.zero_grad()
        (0.5 * (params**2).sum()).backward()
        optimizer.step()
        points.append(params.detach().numpy().copy())
    return np.stack(points)


@pytest.mark.parametrize(
    ("options", "make"),
    [
        ({"optimizer": "adam"}, lambda o, p: o.Adam(p, 0.1)),
        (
            {"optimizer": "adam", "weight_decay": 0.1},
            lambda o, p: o.AdamW(p, 0.1, weight_decay=0.1),
        ),
        ({"optimizer": "sgd"}, lambda o, p: o.SGD(p, 0.1, momentum=0.9)),
        (
            {"optimizer": "sgd", "weight_decay": 0.1},
            lambda o, p: o.SGD(p, 0.1, momentum=0.9, weight_decay=0.1),
        ),
        ({"optimizer": "adadelta"}, lambda o, p: o.Adadelta(p, 0.1, rho=0.95, eps=1e-8)),
    ],
)
def test_optimizers_agree_with_pytorch(options, make):
    np.testing.assert_allclose(path(**options), pytorch_path(make), rtol=1e-4, atol=1e-6)


def test_every_optimizer_is_made_and_descends():
    names = options.choices_of(options.options_of(training.RunConfig)["optimizer"])
    assert len(names) >= 3
    for name in names:
        points = path(optimizer=name)
        assert np.all(np.abs(points[-1]) < np.abs(points[0]))


def test_step_decay_of_padi_et_al():
    # "constant for the first 8 epochs, after which it is halved every other epoch"
    schedule = step_decay(0.01, 5, hold=8, every=2, factor=0.5)
    epochs = [float(jax.jit(schedule)(5 * epoch + 4)) for epoch in range(13)]
    halvings = [0] * 8 + [1, 1, 2, 2, 3]
    np.testing.assert_allclose(epochs, [0.01 / 2**n for n in halvings], rtol=1e-6)


@pytest.mark.parametrize(
    ("hold", "every", "factor", "steps_per_epoch"),
    [
        (8, 2, 0.5, 5),
        (3, 3, 0.7, 7),
        (5, 4, 1 / 3, 11),
        (1, 1, 0.9, 1),
        (1, 2, 0.5, 2),
        (0, 5, 0.1, 3),
    ],
)
def test_step_decay_agrees_with_its_definition(hold, every, factor, steps_per_epoch):
    schedule = step_decay(0.01, steps_per_epoch, hold=hold, every=every, factor=factor)
    steps = np.arange(40 * steps_per_epoch)
    changes = np.maximum((steps // steps_per_epoch - hold) // every + 1, 0)
    rates = jax.jit(jax.vmap(schedule))(steps)
    np.testing.assert_allclose(rates, 0.01 * factor**changes, rtol=2e-6)


def test_schedules_reach_the_updates():
    # Plain steps: the gradient is the parameter, so the rate is what a step takes of it.
    first = path(optimizer="sgd", schedule="step_decay", step_decay=(1, 1, 0.5), steps=3)
    velocity, expected = 0.0, [1.0]
    for rate in (0.1, 0.1, 0.05):
        velocity = 0.9 * velocity + expected[-1]
        expected.append(expected[-1] - rate * velocity)
    np.testing.assert_allclose(first[:, 0], expected, rtol=1e-6)
    last = path(schedule="cosine", steps=7)
    np.testing.assert_allclose(last[-1], last[-2], atol=1e-6)  # zero at the end


def test_a_run_of_one_step_uses_the_full_rate():
    points = path(schedule="cosine", steps=1, steps_per_epoch=1, epochs=1)
    np.testing.assert_allclose(points[1], points[0] - 0.1 * np.sign(points[0]), rtol=1e-4)


@pytest.mark.parametrize("schedule", ["cosine", "step_decay", "constant"])
def test_the_logged_rate_is_that_of_the_updates(schedule):
    values = {"optimizer": "sgd", "schedule": schedule, "step_decay": (1, 1, 0.5)}
    rate = learning_rate(CONFIG.replace(**values), 2, 3)
    rates = [float(rate(step) if callable(rate) else rate) for step in range(6)]
    # Definition of momentum (Sutskever et al. 2013, in the form of PyTorch), with these rates.
    x, velocity, expected = np.array([1.0, -2.0]), 0.0, []
    for each in rates:
        velocity = 0.9 * velocity + x
        x = x - each * velocity
        expected.append(x)
    np.testing.assert_allclose(path(**values)[1:], expected, rtol=1e-5)
