"""Schemas of the JSON files of a run folder, see `serjax.report.files`."""

from typing import Any, NotRequired, TypedDict

from serjax.files.schema import Count, Fraction, Seconds


class IntervalContent(TypedDict):
    """Metric and its confidence interval."""

    value: Fraction
    low: Fraction
    high: Fraction


class SplitContent(TypedDict):
    """Metrics of a split."""

    wa: IntervalContent
    ua: IntervalContent
    f1_macro: IntervalContent
    f1_weighted: NotRequired[IntervalContent]
    utterances: Count
    speakers: NotRequired[Count]
    loss: NotRequired[float]


class ClassContent(TypedDict):
    """Metrics of a class."""

    precision: Fraction
    recall: Fraction
    f1: Fraction
    support: Count


class MethodContent(TypedDict):
    """Method of the intervals."""

    level: Fraction
    over: str
    resamples: Count
    seed: NotRequired[Count]


class MetricsContent(TypedDict):
    """Content of `metrics.json`."""

    test: SplitContent
    validation: NotRequired[SplitContent]
    per_class: dict[str, ClassContent]
    confusion: list[list[Count]]
    classes: list[str]
    interval: NotRequired[MethodContent]
    best_epoch: NotRequired[Count]
    best_step: NotRequired[Count]
    epochs: NotRequired[Count]
    parameters: NotRequired[Count]
    members: NotRequired[list[str]]


class BestContent(TypedDict):
    """Part of `metrics.json` that a checkpoint is loaded by."""

    best_step: NotRequired[Count]


class ModelContent(TypedDict):
    """Model of a run."""

    name: str
    options: NotRequired[dict[str, Any]]
    dtype: NotRequired[str]


class DataContent(TypedDict):
    """Corpus and split of a run."""

    dataset: str
    split: str
    fold: NotRequired[str | None]
    test_dataset: NotRequired[str | None]


class ConfigContent(TypedDict):
    """Content of `config.json`.

    `serjax.options.read_file` reads its groups of options, and checks them when they are used.
    """

    model: ModelContent
    data: DataContent
    seed: NotRequired[Count]
    classes: NotRequired[list[str]]
    parameters: NotRequired[Count]
    utterances: NotRequired[dict[str, Count]]
    corpus_hashes: NotRequired[dict[str, str]]
    resolved_front_end: NotRequired[dict[str, Any]]
    device: NotRequired[str]
    versions: NotRequired[dict[str, str]]
    command: NotRequired[str | list[str]]
    notes: NotRequired[list[str]]
    protocol: NotRequired[str]
    runs: NotRequired[list[str]]
    dimensions: NotRequired[str]
    corpus_dimensions: NotRequired[list[str]]
    reconstruction: NotRequired[dict[str, Any]]
    emotions: NotRequired[dict[str, Any]]


class TrainedModelContent(TypedDict):
    """Model of a run that weights are loaded from."""

    name: str
    options: dict[str, Any]
    dtype: str


class TrainedConfigContent(TypedDict):
    """Part of `config.json` that weights are loaded by."""

    model: TrainedModelContent
    classes: list[str]
    resolved_front_end: dict[str, Any]


class RunContent(TypedDict):
    """Metrics of one run of a set."""

    run: str
    utterances: Count
    wa: Fraction
    ua: Fraction
    f1_macro: Fraction


class SummaryContent(TypedDict):
    """Content of `summary.json`."""

    runs: list[RunContent]
    mean: dict[str, float]
    standard_deviation: dict[str, float]
    pooled: dict[str, IntervalContent]
    interval: MethodContent


TimingContent = dict[str, Seconds]
"""Content of `timing.json`: seconds by stage."""
