"""Training: the main job as functions, from a corpus to a folder of results."""

from serjax.training import freeze
from serjax.training.config import AntiTransfer, RunConfig, for_models
from serjax.training.devices import batch_sharding, memory, processes
from serjax.training.evaluate import Evaluator
from serjax.training.input.dataset import RunDataset, prepare
from serjax.training.input.recordings import Recordings, check_division, read
from serjax.training.loop import DivergedError, InterruptedRunError, StopRequest, train
from serjax.training.recognizer import Recognizer
from serjax.training.run import run
from serjax.training.run_folder.checkpoint import Checkpoints
from serjax.training.state import TrainState, create_state
from serjax.training.step import make_evaluation_step, make_train_step, training_step

__all__ = [
    "AntiTransfer",
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
    "create_state",
    "for_models",
    "freeze",
    "make_evaluation_step",
    "make_train_step",
    "memory",
    "prepare",
    "processes",
    "read",
    "run",
    "train",
    "training_step",
]
