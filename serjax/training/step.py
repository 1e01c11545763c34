"""One training step and one evaluation step, each a single compiled program.

Read `training_step` first. It calls `prepare_batch`, which cuts a batch from the waveforms on the
device, augments it and computes the model input, and the functions above it from top to bottom:
`forward` runs the model; `batch_losses` sums the losses; `gradients` differentiates them; `update`
moves the parameters.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from serjax import augment, metrics
from serjax.data import batches
from serjax.data.batches import Examples
from serjax.features.front_ends import FrontEnd
from serjax.models.variables import Variables
from serjax.training.devices import memory, multi_step
from serjax.training.devices.batch_sharding import SINGLE_DEVICE, BatchSharding
from serjax.training.devices.shard import Shard
from serjax.training.input.prepare_batch import prepare_batch
from serjax.training.objective.auxiliary_loss import AuxiliaryLoss
from serjax.training.objective.task_loss import (
    Batch,
    Features,
    LossFunction,
    PredictionFunction,
    class_probabilities,
    classification_loss,
)
from serjax.training.optimization import freeze
from serjax.training.state import TrainState


class StepResult(NamedTuple):
    """Sums over the batch of a training step, which add up over an epoch.

    Attributes:
        loss: Sum of the examples' losses of the task.
        auxiliary: Sum of the examples' weighted auxiliary losses, by name.
        weight: Number of examples.
        confusion: `[classes, classes]`, rows true, columns predicted.
        gradient_norm: Norm of the gradient of the mean loss.
        input_finite: True if all model inputs were finite.
    """

    loss: jax.Array
    auxiliary: dict[str, jax.Array]
    weight: jax.Array
    confusion: jax.Array
    gradient_norm: jax.Array
    input_finite: jax.Array


TrainStep = Callable[..., tuple[TrainState, StepResult]]
"""`step(state, examples, indices, arrays) -> (state, result)`."""

Apply = Callable[..., tuple[tuple[jax.Array, Features], Variables]]
"""`apply(variables, x, mask=..., **options) -> ((logits, features), updates)`."""


def forward(
    apply: Apply, variables: Variables, batch: Batch, key: jax.Array, shard: Shard
) -> tuple[tuple[jax.Array, Features], Variables]:
    """Runs the model in training mode.

    Args:
        apply: `model.apply`, with frozen layers, auxiliary features and rematerialization.
        variables: Variables of the model.
        batch: Examples of the shard.
        key: PRNG key of the step, as `prepare_batch` takes it.
        shard: Shard of the batch.

    Returns:
        Logits and features, and the updated collections.
    """
    _, _, dropout_key = jax.random.split(key, 3)
    # A shard of a last batch may be empty, for which batch norms have no statistics.
    is_empty = shard.normalized_weight(batch.weight) <= 0
    with shard.applied():
        return apply(variables, batch.x, mask=batch.mask | is_empty, rngs={"dropout": dropout_key})


def batch_losses(
    loss: LossFunction,
    auxiliary_losses: Mapping[str, AuxiliaryLoss],
    arrays: Mapping[str, Any],
    batch: Batch,
    logits: jax.Array,
    features: Features,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Sums the losses of the examples: that of the task, and the auxiliary ones by name."""
    task = jnp.sum(loss(logits, features, batch) * batch.weight)
    auxiliary = {
        name: jnp.sum(term(arrays[name], batch, features, logits) * batch.weight)
        for name, term in auxiliary_losses.items()
    }
    return task, auxiliary


def gradients(
    prepare: Callable[[jax.Array, Shard], Batch],
    apply: Apply,
    losses: Callable[..., tuple[jax.Array, dict[str, jax.Array]]],
    params: PyTree,
    key: jax.Array,
    num_classes: int,
    batch_stats: PyTree,
    indices: jax.Array,
    shard: Shard,
) -> tuple[PyTree, tuple[PyTree, StepResult]]:
    """Computes the gradients of the mean loss for one shard of a batch.

    Args:
        prepare: `prepare_batch` of indices and shard.
        apply: `model.apply` as of `forward`.
        losses: `batch_losses` of a batch, logits and features.
        params: Parameters of the model.
        key: PRNG key of the step.
        num_classes: Number of classes.
        batch_stats: Running statistics before the batch.
        indices: `[shard]` int32 indices of the shard's examples; -1 for padding of the batch.
        shard: Shard of the batch. Terms are divided by the weight of the whole batch, so that the
            gradients of its shards add up.

    Returns:
        Running statistics after the batch, gradients and sums.
    """
    batch = prepare(indices, shard)

    def mean_loss(params: PyTree) -> tuple[jax.Array, PyTree]:
        variables = {"params": params, "batch_stats": batch_stats}
        (logits, features), updates = forward(apply, variables, batch, key, shard)
        task, auxiliary = losses(batch, logits, features)
        total = functools.reduce(jnp.add, auxiliary.values(), task)
        return total / shard.batch_weight, (task, auxiliary, logits, updates)

    grads, (task, auxiliary, logits, updates) = jax.grad(mean_loss, has_aux=True)(params)
    result = StepResult(
        loss=task,
        auxiliary=auxiliary,
        weight=jnp.sum(batch.weight),
        confusion=metrics.confusion_matrix(
            batch.label, logits.argmax(-1), num_classes, batch.weight
        ),
        gradient_norm=jnp.zeros(()),
        input_finite=jnp.all(jnp.isfinite(batch.x)),
    )
    has_examples = shard.normalized_weight(batch.weight) > 0
    batch_stats = jax.tree.map(
        lambda new, old: jnp.where(has_examples, new, old),
        updates.get("batch_stats", {}),
        batch_stats,
    )
    return batch_stats, (grads, result)


def update(
    state: TrainState, grads: PyTree, batch_stats: PyTree, optimizer: optax.GradientTransformation
) -> TrainState:
    """Moves the parameters by the optimizer's update."""
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return TrainState(state.step + 1, params, batch_stats, opt_state)


def training_step(
    model: nn.Module,
    front_end: FrontEnd,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    num_classes: int,
    augmentation: str = "none",
    frozen: freeze.Frozen | None = None,
    auxiliary_losses: Mapping[str, AuxiliaryLoss] | None = None,
    loss: LossFunction | None = None,
    sharding: BatchSharding = SINGLE_DEVICE,
    remat: str = "none",
    augment_copies: int = 0,
) -> TrainStep:
    """Makes `step(state, examples, indices, arrays) -> (state, result)`, a pure function.

    `indices` are `[batch]`, or as `sharding.put_indices` returns them; `arrays` are those of the
    auxiliary losses by name, None without any.

    Args:
        model: Network from `serjax.models.create`.
        front_end: Front end of the model.
        optimizer: Optimizer from optax; with frozen layers, from `freeze.optimizer`.
        key: PRNG key of the run; the key of a step is `fold_in(key, state.step)`.
        num_classes: Number of classes.
        augmentation: Name that `serjax.augment.preset` knows.
        frozen: Layers that train from a later step on, or never, see `training.freeze`. Every stage
            is a branch of the one program, without the gradients that it does not use.
        auxiliary_losses: Auxiliary losses by name.
        loss: Loss of the task; None: cross-entropy.
        sharding: Sharding of a batch over devices and micro-batches.
        remat: What the backward pass computes again, one of `serjax.training.devices.memory.REMAT`.
        augment_copies: Number of augmented copies of each example, see `prepare_batch`.
    """
    augment.preset(augmentation)  # an unknown name is refused here, not while compiling
    auxiliary_losses = auxiliary_losses or {}
    loss = loss or classification_loss()
    frozen = frozen or {}
    first_steps = freeze.stages(frozen)

    def stage_step(
        first_step: int, state: TrainState, examples: Examples, indices: jax.Array, arrays: PyTree
    ) -> tuple[TrainState, StepResult]:
        """Takes a step in the stage of frozen layers that begins at `first_step`."""
        step_key = jax.random.fold_in(key, state.step)
        apply: Apply = functools.partial(
            freeze.apply, model, frozen=frozen, step=first_step, train=True, mutable=["batch_stats"]
        )
        for name, auxiliary in auxiliary_losses.items():
            apply = auxiliary.wrap(apply, arrays[name])
        apply = memory.rematerialize(apply, remat)
        losses = functools.partial(batch_losses, loss, auxiliary_losses, arrays)

        def prepare(indices: jax.Array, shard: Shard) -> Batch:
            return prepare_batch(
                step_key,
                examples,
                indices,
                state.step,
                front_end=front_end,
                augmentation=augmentation,
                augment_copies=augment_copies,
                shard=shard,
            )

        compute = functools.partial(
            gradients, prepare, apply, losses, state.params, step_key, num_classes
        )
        batch_stats, (grads, result) = sharding.sum_over_shards(compute, state.batch_stats, indices)
        state = update(state, grads, batch_stats, optimizer)
        return state, result._replace(gradient_norm=optax.tree.norm(grads))

    def step(
        state: TrainState, examples: Examples, indices: jax.Array, arrays: PyTree = None
    ) -> tuple[TrainState, StepResult]:
        stage = jnp.searchsorted(jnp.array(first_steps), state.step, side="right") - 1
        branches = [functools.partial(stage_step, first) for first in first_steps]
        return jax.lax.switch(stage, branches, state, examples, indices, arrays)

    return step


def make_train_step(
    model: nn.Module,
    front_end: FrontEnd,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    num_classes: int,
    augmentation: str = "none",
    frozen: freeze.Frozen | None = None,
    auxiliary_losses: Mapping[str, AuxiliaryLoss] | None = None,
    loss: LossFunction | None = None,
    sharding: BatchSharding = SINGLE_DEVICE,
    remat: str = "none",
    augment_copies: int = 0,
    scan_steps: int = 1,
) -> jax.stages.Wrapped:
    """Compiles `training_step` to one program, which overwrites the state that it is called with.

    Args:
        model: See `training_step`, as are the other parameters up to
            `augment_copies`.
        front_end: See `training_step`.
        optimizer: See `training_step`.
        key: See `training_step`.
        num_classes: See `training_step`.
        augmentation: See `training_step`.
        frozen: See `training_step`.
        auxiliary_losses: See `training_step`.
        loss: See `training_step`.
        sharding: See `training_step`.
        remat: See `training_step`.
        augment_copies: See `training_step`.
        scan_steps: Number of steps of a call. If more than 1, indices and results are those of
            several steps, see `serjax.training.devices.multi_step`.
    """
    step: Any = training_step(
        model,
        front_end,
        optimizer,
        key,
        num_classes,
        augmentation,
        frozen,
        auxiliary_losses,
        loss,
        sharding,
        remat,
        augment_copies,
    )
    if scan_steps > 1:
        step = multi_step.make_multi_step(step, scan_steps, sharding)
    return sharding.compile_step(step)


def make_evaluation_step(
    model: nn.Module,
    front_end: FrontEnd,
    predict: PredictionFunction = class_probabilities,
    sharding: BatchSharding = SINGLE_DEVICE,
) -> jax.stages.Wrapped:
    """Compiles `step(variables, samples, start, length, size) -> predictions [batch, n]`.

    `start` and `length` `[batch]` int32 place the batch's waveforms in `samples`; a length of 0
    is padding. `size` is static: the number of samples that the batch is padded to.

    Args:
        model: Network from `serjax.models.create`.
        front_end: Front end of the model.
        predict: Prediction function.
        sharding: Sharding of the batch over devices.
    """

    def step(
        variables: Variables,
        samples: jax.Array,
        start: jax.Array,
        length: jax.Array,
        size: int,
    ) -> jax.Array:
        x, mask = front_end(batches.cut(samples, start, length, size), length)
        features: Any
        logits, features = model.apply(variables, x, train=False, mask=mask)
        return predict(logits, features, x)

    return sharding.compile_evaluation(step)
