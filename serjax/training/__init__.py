"""Training of one run, from a corpus to a folder of results."""

from serjax.training import freeze
from serjax.training.auxiliary_loss import (
    AuxiliaryContext,
    AuxiliaryLoss,
    register_auxiliary_loss,
    register_auxiliary_loss_factory,
)
from serjax.training.config import AuxiliaryLossConfig, RunConfig
from serjax.training.devices import batch_sharding, memory, processes
from serjax.training.evaluate import Evaluator
from serjax.training.input.dataset import RunDataset, prepare
from serjax.training.input.recordings import Recordings, check_division, read
from serjax.training.loop import DivergedError, InterruptedRunError, StopRequest, train
from serjax.training.objective import Batch, classification_loss
from serjax.training.recognizer import Recognizer
from serjax.training.run import run
from serjax.training.run_folder.checkpoint import Checkpoints
from serjax.training.state import TrainState, create_state
from serjax.training.step import (
    make_evaluation_step,
    make_train_step,
    prepare_batch,
    training_step,
)

__all__ = [
    "AuxiliaryContext",
    "AuxiliaryLoss",
    "AuxiliaryLossConfig",
    "Batch",
    "Checkpoints",
    "DivergedError",
    "Evaluator",
    "InterruptedRunError",
    "Recognizer",
    "Recordings",
    "RunConfig",
    "RunDataset",
    "StopRequest",
    "TrainState",
    "batch_sharding",
    "check_division",
    "classification_loss",
    "create_state",
    "freeze",
    "make_evaluation_step",
    "make_train_step",
    "memory",
    "prepare",
    "prepare_batch",
    "processes",
    "read",
    "register_auxiliary_loss",
    "register_auxiliary_loss_factory",
    "run",
    "train",
    "training_step",
]
