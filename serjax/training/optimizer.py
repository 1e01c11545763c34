"""Optimizers and learning-rate schedules by name."""

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import optax

if TYPE_CHECKING:
    from serjax.training.config import RunConfig

OPTIMIZERS = ("adam", "sgd", "adadelta")
SCHEDULES = ("cosine", "constant", "step_decay")


def step_decay(
    rate: float, steps_per_epoch: int, *, hold: int, every: int, factor: float
) -> optax.Schedule:
    """A rate that stays for some epochs and then is multiplied by a factor every so many.

    Padi et al. 2021, section 4.2, hold 8 epochs, then halve every other epoch: 8, 2 and 0.5.

    Args:
        rate: In the first `hold` epochs.
        steps_per_epoch: Steps of an epoch.
        hold: Epochs before the first change.
        every: Epochs from one change to the next.
        factor: Of each change.
    """

    def at(step: Any) -> Any:
        epoch = jnp.asarray(step) // steps_per_epoch
        changes = jnp.maximum((epoch - hold) // every + 1, 0)
        return rate * factor ** changes.astype(jnp.float32)

    return at


def learning_rate(config: "RunConfig", steps_per_epoch: int, epochs: int) -> optax.ScalarOrSchedule:
    """The configured learning rate: of all steps, or of each from 0 on.

    Args:
        config: Of the run, its learning rate resolved.
        steps_per_epoch: Steps of an epoch.
        epochs: Most epochs, at the end of which the cosine reaches zero.
    """
    assert config.optimizer.learning_rate is not None
    rate, steps = config.optimizer.learning_rate, epochs * steps_per_epoch
    if config.optimizer.schedule == "cosine" and steps > 1:  # a single step neither rises nor falls
        # The rise keeps Adam's first steps, which are full-sized whatever the gradient, from
        # throwing wide layers off their initial scale.
        return optax.warmup_cosine_decay_schedule(0.0, rate, max(steps // 20, 1), steps)
    if config.optimizer.schedule == "step_decay":
        hold, every, factor = config.optimizer.step_decay
        return step_decay(rate, steps_per_epoch, hold=int(hold), every=int(every), factor=factor)
    return rate


def rate_after(rate: optax.ScalarOrSchedule, steps: int) -> float:
    """The learning rate of the last of so many steps.

    Args:
        rate: From `learning_rate`.
        steps: At least 1.
    """
    return float(rate(steps - 1) if callable(rate) else rate)


def make_optimizer(
    config: "RunConfig", rate: optax.ScalarOrSchedule
) -> optax.GradientTransformation:
    """The configured optimizer.

    Adam takes weight decay as AdamW does, decoupled; to the others it is a term of the loss. SGD
    has a momentum of 0.9 (Padi et al. 2021), Adadelta a rho of 0.95 and an epsilon of 1e-8 (Kapoor
    and Kumar).

    Args:
        config: Of the run.
        rate: From `learning_rate`.
    """
    if config.optimizer.name == "adam":
        if config.optimizer.weight_decay:
            return optax.adamw(rate, weight_decay=config.optimizer.weight_decay)
        return optax.adam(rate)
    if config.optimizer.name == "sgd":
        optimizer = optax.sgd(rate, momentum=0.9)
    else:
        optimizer = optax.adadelta(rate, rho=0.95, eps=1e-8)
    if config.optimizer.weight_decay:
        return optax.chain(optax.add_decayed_weights(config.optimizer.weight_decay), optimizer)
    return optimizer
