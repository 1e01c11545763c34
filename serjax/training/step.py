"""One training step and one evaluation step, each a single compiled program.

Waveforms lie on the device. A step cuts its batch from them, augments it, makes spectrograms,
augments those, and runs the model, the loss, the gradient and the update.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from serjax import augment, metrics
from serjax.anti_transfer.loss import AntiTransferLoss, References
from serjax.data import batches
from serjax.data.batches import Examples
from serjax.features.front_ends import FrontEnd
from serjax.training import freeze
from serjax.training.devices import memory, multi_step
from serjax.training.devices.batch_sharding import SINGLE_DEVICE, BatchSharding
from serjax.training.devices.shard import Part
from serjax.training.objective import Batch, Objective, Outputs, class_probabilities, classification
from serjax.training.state import TrainState, Variables

# Padi et al. 2021, section 4.2: the length of a batch's chunks, in frames, is drawn from these.
CHUNK_FRAMES = (150, 200, 250, 300)


class StepResult(NamedTuple):
    """What a training step tells: sums over the batch, so that they add up over an epoch.

    Attributes:
        loss: Sum of the examples' losses.
        anti_transfer: Sum of their anti-transfer losses, 0 without any.
        weight: Number of examples.
        confusion: `[classes, classes]`, rows true, columns predicted.
        gradient_norm: Of the mean loss.
        input_finite: Whether all features were finite numbers.
    """

    loss: jax.Array
    anti_transfer: jax.Array
    weight: jax.Array
    confusion: jax.Array
    gradient_norm: jax.Array
    input_finite: jax.Array


TrainStep = Callable[..., tuple[TrainState, StepResult]]


def cut_samples(front_end: FrontEnd) -> int:
    """Samples that a training step cuts out of an example, which may be shorter."""
    if front_end.variable_length:
        return front_end.samples_of_frames(max(CHUNK_FRAMES))
    return front_end.segment_samples


def _random_chunk(
    key: jax.Array, start: jax.Array, length: jax.Array, front_end: FrontEnd, part: Part
) -> tuple[jax.Array, jax.Array]:
    """A stretch at a random offset of each utterance, all as long as one random draw says.

    Chunks are cut to a fixed size and masked, which the model cannot tell from shorter ones, so
    that all lengths are one compiled program.
    """
    length_key, offset_key = jax.random.split(key)
    sizes = jnp.array([front_end.samples_of_frames(frames) for frames in CHUNK_FRAMES], jnp.int32)
    chunk = jax.random.choice(length_key, sizes)
    spare = jnp.maximum(length - chunk, 0)
    draw = jax.vmap(lambda key, bound: jax.random.randint(key, (), 0, bound))
    offset = draw(part.keys(offset_key, len(start)), spare + 1)
    return start + offset, jnp.minimum(length, chunk)


def training_step(
    model: nn.Module,
    front_end: FrontEnd,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    num_classes: int,
    augmentation: str = "none",
    frozen: freeze.Frozen | None = None,
    anti_transfer: AntiTransferLoss | None = None,
    objective: Objective = classification,
    division: BatchSharding = SINGLE_DEVICE,
    remat: str = "none",
) -> TrainStep:
    """Makes `step(state, examples, indices, references) -> (state, result)`, a pure function.

    `indices` are `[batch]`, or what `division.split` gives where there is one; `references` are
    those of the anti-transfer loss, None without it.

    Args:
        model: From `serjax.models.create`.
        front_end: What it hears.
        optimizer: From optax; where layers are frozen, from `freeze.optimizer`.
        key: Of all random numbers; those of a step follow from `fold_in(key, state.step)`.
        num_classes: Classes.
        augmentation: A name that `serjax.augment.preset` knows.
        frozen: Layers that train from a later step on, or never, see `serjax.training.freeze`.
            Every stage is a branch of the one program, without the gradients that it has no use
            for, and adds to the time of its compilation.
        anti_transfer: What is added to the objective.
        objective: The loss of each example.
        division: Of a batch, over devices and micro-batches.
        remat: One of `serjax.training.devices.memory.REMAT`, what the backward pass computes again.
    """
    size = cut_samples(front_end)
    changes = augment.preset(augmentation)
    frozen = frozen or {}
    firsts = freeze.stages(frozen)

    def of_part(
        first: int,
        state: TrainState,
        examples: Examples,
        references: References | None,
        stats: Any,
        indices: jax.Array,
        part: Part,
    ) -> tuple[Any, tuple[Any, StepResult]]:
        chunk_key, augment_key, dropout_key = jax.random.split(
            jax.random.fold_in(key, state.step), 3
        )
        start, length, label, weight = batches.select(examples, indices)
        utterance = examples.utterance[jnp.maximum(indices, 0)]
        if front_end.variable_length:
            start, length = _random_chunk(chunk_key, start, length, front_end, part)
        sound_keys, image_keys = (
            part.keys(key, len(start)) for key in jax.random.split(augment_key)
        )
        waveform = batches.cut(examples.samples, start, length, size)
        waveform, length = front_end.remove_silence(waveform, length)
        waveform, length = jax.vmap(changes.apply_to_waveform)(sound_keys, waveform, length)
        x, mask = front_end.spectrograms(waveform, length)
        x = jax.vmap(changes.apply_to_spectrogram)(image_keys, x, mask)
        x, mask = front_end.to_model_input(x, mask)
        # A part of a last batch may be empty, of which batch norms make no sense.
        some = part.normalized_weight(weight) > 0
        forward: Callable[..., Any] = functools.partial(
            freeze.apply, model, frozen=frozen, step=first, train=True, mutable=["batch_stats"]
        )
        if anti_transfer is not None:
            forward = anti_transfer.beside(forward, references)
        forward = memory.rematerialized(forward, remat)

        def loss_function(params: Any) -> tuple[jax.Array, Any]:
            variables = {"params": params, "batch_stats": stats}
            with part.applied():
                (logits, features), updates = forward(
                    variables, x, mask=mask | ~some, rngs={"dropout": dropout_key}
                )
            losses = objective(logits, features, Batch(x, label, utterance, state.step))
            total, unlike = jnp.sum(losses * weight), jnp.zeros(())
            if anti_transfer is not None:
                terms = anti_transfer(references, indices, features)
                unlike = jnp.sum(terms * weight)
            mean = (total + unlike) / part.batch_weight
            return mean, (total, unlike, logits, updates.get("batch_stats", {}))

        gradient, (total, unlike, logits, moved) = jax.grad(loss_function, has_aux=True)(
            state.params
        )
        result = StepResult(
            loss=total,
            anti_transfer=unlike,
            weight=jnp.sum(weight),
            confusion=metrics.confusion_matrix(label, logits.argmax(-1), num_classes, weight),
            gradient_norm=jnp.zeros(()),
            input_finite=jnp.all(jnp.isfinite(x)),
        )
        moved = jax.tree.map(lambda new, old: jnp.where(some, new, old), moved, stats)
        return moved, (gradient, result)

    def step_of_stage(
        first: int,
        state: TrainState,
        examples: Examples,
        indices: jax.Array,
        references: References | None,
    ) -> tuple[TrainState, StepResult]:
        compute = functools.partial(of_part, first, state, examples, references)
        stats, (gradient, result) = division.sum_over_shards(compute, state.batch_stats, indices)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        result = result._replace(gradient_norm=optax.tree.norm(gradient))
        return TrainState(state.step + 1, params, stats, opt_state), result

    def step(
        state: TrainState,
        examples: Examples,
        indices: jax.Array,
        references: References | None = None,
    ) -> tuple[TrainState, StepResult]:
        stage = jnp.searchsorted(jnp.array(firsts), state.step, side="right") - 1
        branches = [functools.partial(step_of_stage, first) for first in firsts]
        return jax.lax.switch(stage, branches, state, examples, indices, references)

    return step


def make_train_step(*settings: Any, scan_steps: int = 1, **options: Any) -> jax.stages.Wrapped:
    """Makes `training_step` one compiled program, which overwrites the state it is given.

    Args:
        *settings: Of `training_step`.
        scan_steps: If more than 1, indices and results are those of so many steps, see
            `serjax.training.devices.multi_step.in_blocks`.
        **options: Of `training_step`.
    """
    step: Any = training_step(*settings, **options)
    division: BatchSharding = options.get("division", SINGLE_DEVICE)
    if scan_steps > 1:
        step = multi_step.in_blocks(step, scan_steps, division)
    return division.compile_step(step)


def make_evaluation_step(
    model: nn.Module,
    front_end: FrontEnd,
    outputs: Outputs = class_probabilities,
    division: BatchSharding = SINGLE_DEVICE,
) -> jax.stages.Wrapped:
    """Makes `step(variables, samples, start, length, size) -> outputs [batch, n]`.

    `start` and `length` `[batch]` int32 place the batch's waveforms in `samples`; a length of 0
    is an empty entry. `size` is static: the samples that the batch is padded to. `division` is of
    the batch over devices.
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
        return outputs(logits, features, x)

    return division.compile_evaluation(step)
