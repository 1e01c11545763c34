"""Hashes of a run's corpus: what a resumed run must share with the stopped one."""

import dataclasses

import numpy as np
import pytest

from serjax import data
from serjax.console import Console
from serjax.errors import InputError
from serjax.features import front_ends
from serjax.training import RunConfig, prepare_dataset
from serjax.training.input.corpus_hashes import corpus_hashes, differing
from serjax.training.run_folder.metadata import run_metadata
from serjax.training.run_folder.run_dir import check_corpus, open_folder
from tests.helpers.corpora import balanced

SILENT = Console(quiet=True)


def hashes(corpus, sound=None, sets=((0, 1), (2,), (3,))):
    split = data.splits.Split("random", *(np.array(each, np.int32) for each in sets))
    return corpus_hashes([corpus], "emotion", sound or [*range(len(corpus))], split)


def changed(corpus, index, **values):
    """Returns a corpus with another value in one utterance."""
    utterances = list(corpus.utterances)
    utterances[index] = dataclasses.replace(utterances[index], **values)
    return dataclasses.replace(corpus, utterances=tuple(utterances))


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"path": "0003x"}, "recordings"),
        ({"start": 0.5}, "recordings"),
        ({"end": 0.5}, "recordings"),
        ({"emotion": "neutral"}, "labels"),
        ({"valence": 1.0}, "labels"),
        ({"speaker": "09"}, "speakers"),
        ({"session": "2"}, "speakers"),
    ],
)
def test_any_change_of_an_utterance_is_named(values, name):
    corpus = balanced()
    assert differing(hashes(corpus), hashes(changed(corpus, 3, **values))) == [name]


def test_other_sound_and_another_split_are_named():
    corpus = balanced()
    sound = [*range(len(corpus))]
    before = hashes(corpus)
    assert differing(before, hashes(corpus, sound)) == []
    assert differing(before, hashes(corpus, sound[::-1])) == ["sound"]
    assert differing(before, hashes(corpus, sets=((0, 2), (1,), (3,)))) == ["split"]


@pytest.fixture
def run():
    """Makes the configuration and the metadata of a run on a corpus of noise."""

    def read(utterance, rate):
        rng = np.random.default_rng(int(utterance.path))
        return rng.uniform(-0.5, 0.5, 8000).astype(np.float32)

    def metadata(corpus):
        config = RunConfig.make(split="random")
        dataset = prepare_dataset(config, front_ends.GUIZZO_REAL, SILENT, corpora=(corpus,))
        return config, run_metadata(config, dataset, [])

    return lambda corpus: metadata(dataclasses.replace(corpus, read=read))


def test_a_resumed_run_belongs_to_its_corpus(run, tmp_path):
    names = {"anger": "sadness", "sadness": "anger"}
    corpus = balanced(speakers=2, takes=3)
    exchanged = dataclasses.replace(
        corpus,
        utterances=tuple(
            dataclasses.replace(u, emotion=names.get(u.emotion, u.emotion))
            for u in corpus.utterances
        ),
    )
    config, before = run(corpus)
    _, now = run(exchanged)
    assert before["utterances"] == now["utterances"]  # counts do not tell
    with open_folder(tmp_path / "run", False, config, before, SILENT) as folder:
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints" / "state").write_text("weights")
    with (
        pytest.raises(InputError, match="another run there: the corpus differs in its labels"),
        open_folder(tmp_path / "run", True, config, now, SILENT),
    ):
        pass
    with open_folder(tmp_path / "run", True, config, before, SILENT):
        pass
    # A sweep does not run again what is finished.
    whole = {name: value for name, value in before["corpus_hashes"].items() if name != "split"}
    check_corpus(tmp_path / "run", whole)
    with pytest.raises(InputError, match="expected a run on the corpus of this one, but the corp"):
        check_corpus(tmp_path / "run", now["corpus_hashes"])
