"""Pretraining of RH-emo that takes seconds."""

from serjax import rhemo, training

SMALL = {"epochs": 2, "batch_size": 12}
CONFIG = rhemo.RHEmoConfig(
    training.RunConfig.make(
        model="rhemo",
        dataset_options={"speakers": 5, "words": 2, "takes": 1},
        model_options={"hidden": 4},
    ),
    reconstruction=SMALL,
    emotions={**SMALL, "learning_rate": 1e-3, "warmup_epochs": 1},
)
