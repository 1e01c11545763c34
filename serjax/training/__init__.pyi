from .checks import check_config as check_config
from .config import AuxiliaryLossConfig as AuxiliaryLossConfig
from .config import RunConfig as RunConfig
from .devices import batch_sharding as batch_sharding
from .devices import memory as memory
from .devices import processes as processes
from .evaluate import Evaluator as Evaluator
from .input.dataset import RunDataset as RunDataset
from .input.dataset import prepare_dataset as prepare_dataset
from .input.prepare_batch import prepare_batch as prepare_batch
from .input.recordings import Recordings as Recordings
from .input.recordings import check_split as check_split
from .input.recordings import read_recordings as read_recordings
from .loop import InterruptedRunError as InterruptedRunError
from .loop import StopRequest as StopRequest
from .loop import train as train
from .objective.auxiliary_loss import AuxiliaryContext as AuxiliaryContext
from .objective.auxiliary_loss import AuxiliaryLoss as AuxiliaryLoss
from .objective.auxiliary_loss import register_auxiliary_loss as register_auxiliary_loss
from .objective.auxiliary_loss import (
    register_auxiliary_loss_factory as register_auxiliary_loss_factory,
)
from .objective.task_loss import Batch as Batch
from .objective.task_loss import classification_loss as classification_loss
from .optimization import freeze as freeze
from .optimization.divergence import DivergedError as DivergedError
from .run_folder.checkpoint import Checkpoints as Checkpoints
from .run_folder.recognizer import Recognizer as Recognizer
from .single_run import run as run
from .state import TrainState as TrainState
from .state import create_state as create_state
from .step import make_evaluation_step as make_evaluation_step
from .step import make_train_step as make_train_step
from .step import training_step as training_step
