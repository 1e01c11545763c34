"""Training: the main job as functions, from a corpus to a folder of results."""

from serjax.training import distributed, freeze, memory, parallel
from serjax.training.anti_transfer import AntiTransferLoss
from serjax.training.checkpoint import Checkpoints
from serjax.training.config import AntiTransfer, RunConfig, for_models
from serjax.training.engine import CHOICES
from serjax.training.evaluate import Evaluator
from serjax.training.loop import DivergedError, InterruptedRunError, StopRequest, train
from serjax.training.reading import Recordings, check_division, read
from serjax.training.recognizer import Recognizer
from serjax.training.rhemo import pretrain
from serjax.training.rhemo_config import RHEmoConfig
from serjax.training.run import run
from serjax.training.series import check_folds, cross_corpus, cross_validate
from serjax.training.state import TrainState, create_state
from serjax.training.step import make_evaluation_step, make_train_step, training_step
from serjax.training.task import Task, prepare
from serjax.training.teachers import TASKS, find_or_train, teacher_config, with_teacher

__all__ = [
    "CHOICES",
    "TASKS",
    "AntiTransfer",
    "AntiTransferLoss",
    "Checkpoints",
    "DivergedError",
    "Evaluator",
    "InterruptedRunError",
    "RHEmoConfig",
    "Recognizer",
    "Recordings",
    "RunConfig",
    "StopRequest",
    "Task",
    "TrainState",
    "check_division",
    "check_folds",
    "create_state",
    "cross_corpus",
    "cross_validate",
    "distributed",
    "find_or_train",
    "for_models",
    "freeze",
    "make_evaluation_step",
    "make_train_step",
    "memory",
    "parallel",
    "prepare",
    "pretrain",
    "read",
    "run",
    "teacher_config",
    "train",
    "training_step",
    "with_teacher",
]
