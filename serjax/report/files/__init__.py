"""Files of a run folder: their formats and contents, read and written.

A run folder holds:

- `config.json`: the groups of the run's configuration (`data`, `model`, `optimizer`,
  `augmentation`, `system`, `auxiliary_losses`) and its `seed`; next to them metadata such as
  `classes`, `parameters`, `utterances` by split, `resolved_front_end`, `device`, `versions`,
  `command` (a string, or the list of arguments) and `notes` (strings: skipped files, dropped
  duplicates). `model.name`, `data.dataset` and `data.split` are required. The config of a set of
  runs also has `protocol` and `runs`.
- `history.csv`: one row per epoch with `HISTORY_COLUMNS`, a column `train_<name>` for each
  auxiliary loss, and further numbers.
- `predictions.csv`: one row per utterance with `path, split, speaker, true, predicted` and the
  probability of each class in a column `p_<class>`. If utterances are segments of recordings, the
  columns `start` and `end`, in seconds, follow the path.
- `metrics.json`: `test` and, optionally, `validation`. Each has `wa`, `ua` and `f1_macro`
  (`{"value", "low", "high"}`, fractions in [0, 1]), `utterances`, and optionally `f1_weighted` (of
  the same form), `speakers` and `loss`. `per_class`
  (`{class: {"precision", "recall", "f1", "support"}}`), `confusion` (rows true) and `classes`
  describe the test set. Optional are `interval` (the method of the intervals), `best_epoch`,
  `parameters` and `members` (of an ensemble). The file holds no times, so equal runs write equal
  files.
- `summary.json`, only for a set of runs: the metrics of each run, their mean and standard
  deviation. The other files then describe the test utterances of all runs; see
  `serjax.report.tables.run_set`.
- `timing.json`, optional: seconds spent in each stage,
  `{"data", "compile", "train", ..., "total"}`.
"""
