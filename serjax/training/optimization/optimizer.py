"""Optimizers and learning-rate schedules by name."""

from typing import TYPE_CHECKING

import optax

if TYPE_CHECKING:
    from serjax.training.config import RunConfig
    from serjax.training.config.resolve import ResolvedRunConfig


def step_decay(
    rate: float, steps_per_epoch: int, *, hold: int, every: int, factor: float
) -> optax.Schedule:
    """Makes a learning rate that is constant at first and then decays in steps.

    Padi et al. (2021), section 4.2, hold it for 8 epochs and then halve it every other epoch:
    `hold=8, every=2, factor=0.5`.

    Args:
        rate: Learning rate of the first `hold` epochs.
        steps_per_epoch: Steps of an epoch.
        hold: Epochs before the first change.
        every: Epochs from one change to the next.
        factor: Factor of each change.
    """
    decay = optax.exponential_decay(rate, every * steps_per_epoch, factor, staircase=True)
    # Before its first step Optax's schedule is constant, so the hold is a shift to steps below 0.
    shift = (hold - every) * steps_per_epoch
    return lambda step: decay(step - shift)


def learning_rate(
    config: "ResolvedRunConfig", steps_per_epoch: int, epochs: int
) -> optax.ScalarOrSchedule:
    """Makes the configured learning rate.

    Args:
        config: Resolved configuration of the run.
        steps_per_epoch: Steps of an epoch.
        epochs: Maximum number of epochs, at whose end the cosine reaches zero.

    Returns:
        Learning rate of all steps, or a function from the number of steps taken before.
    """
    rate, steps = config.optimizer.learning_rate, epochs * steps_per_epoch
    if config.optimizer.schedule == "cosine" and steps > 1:  # one step has no warmup and no decay
        # Adam's first steps have full size whatever the gradient. The warmup prevents that they
        # move wide layers far from their initial scale.
        return optax.warmup_cosine_decay_schedule(0.0, rate, max(steps // 20, 1), steps)
    if config.optimizer.schedule == "step_decay":
        hold, every, factor = config.optimizer.step_decay
        return step_decay(rate, steps_per_epoch, hold=int(hold), every=int(every), factor=factor)
    return rate


def rate_after(rate: optax.ScalarOrSchedule, steps: int) -> float:
    """Returns the learning rate of the last step taken.

    Args:
        rate: Learning rate, from `learning_rate`.
        steps: Number of steps taken, at least 1.
    """
    return float(rate(steps - 1) if callable(rate) else rate)


def make_optimizer(
    config: "RunConfig", rate: optax.ScalarOrSchedule
) -> optax.GradientTransformation:
    """Makes the configured optimizer.

    The weight decay of Adam is decoupled, as in AdamW; that of the others is a term of the loss.
    SGD has a momentum of 0.9 (Padi et al. 2021), Adadelta a rho of 0.95 and an epsilon of 1e-8
    (Kapoor and Kumar).

    Args:
        config: Configuration of the run.
        rate: Learning rate, from `learning_rate`.
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
