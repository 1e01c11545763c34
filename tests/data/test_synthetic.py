"""The bundled synthetic corpus: its table, confounders, sound and emotions."""

from collections import Counter

import jax
import librosa
import numpy as np
import pytest
from sklearn.metrics import mutual_info_score, recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from serjax import data
from serjax.data import splits, synthetic
from serjax.data.corpus import Corpus, CorpusError
from serjax.data.synthetic import speech

RATE = 16000


say = jax.jit(speech.synthesize)


@pytest.fixture(scope="module")
def whole() -> tuple[Corpus, list[np.ndarray]]:
    """Returns the default corpus and its waveforms."""
    return data.waveforms(data.load("synthetic"))


def pitch(waveform: np.ndarray) -> float:
    """Median F0 in Hz of the louder frames, by YIN (de Cheveigné & Kawahara, 2002)."""
    f0 = librosa.yin(waveform, fmin=70, fmax=450, sr=RATE, frame_length=1024)
    loudness = librosa.feature.rms(y=waveform, frame_length=1024, hop_length=256)[0]
    return float(np.median(f0[loudness > 0.3 * loudness.max()]))


def brightness(waveform: np.ndarray) -> float:
    """Energy from 1 to 4 kHz relative to that below 1 kHz, in dB, of the loudest frames."""
    power = np.abs(librosa.stft(waveform, n_fft=512)) ** 2
    power = power[:, power.sum(axis=0) > np.median(power.sum(axis=0))].sum(axis=1)
    return float(10 * np.log10(power[32:128].sum() / power[1:32].sum()))


@pytest.fixture(scope="module")
def means(whole) -> dict[str, dict[str, np.ndarray]]:
    """Mean of each measured quantity per emotion and speaker [speakers]."""
    corpus, waveforms = whole
    measured = {
        "pitch": np.log2([pitch(w) for w in waveforms]) * 12,
        "brightness": np.array([brightness(w) for w in waveforms]),
        "seconds": np.array([len(w) / RATE for w in waveforms]),
    }
    emotions, speakers = (np.array(corpus.column(c)) for c in ("emotion", "speaker"))
    return {
        name: {
            emotion: np.array(
                [
                    values[(emotions == emotion) & (speakers == speaker)].mean()
                    for speaker in corpus.labels("speaker")
                ]
            )
            for emotion in synthetic.EMOTIONS
        }
        for name, values in measured.items()
    }


class TestTable:
    def test_default(self, whole):
        corpus, _ = whole
        assert len(corpus) == 640
        assert Counter(corpus.column("emotion")) == dict.fromkeys(synthetic.EMOTIONS, 160)
        assert len(corpus.labels("speaker")) == 20
        assert len(corpus.labels("text")) == 8
        assert corpus.notes == ()
        first = corpus.utterances[0]
        assert first.path == "synthetic/s00_w0_anger_1.wav"
        assert (first.speaker, first.text, first.session) == ("s00", "w0", "train")

    def test_balanced_in_every_pair_of_factors(self):
        corpus = data.load("synthetic", speakers=5, words=3, takes=2)
        assert len(corpus) == 5 * 3 * 2 * 4
        columns = [corpus.column(name) for name in ("emotion", "speaker", "text")]
        assert set(Counter(zip(*columns, strict=True)).values()) == {2}

    def test_sessions_split_the_speakers(self):
        for speakers, sizes in (
            (3, [1, 1, 1]),
            (4, [2, 1, 1]),
            (20, [12, 4, 4]),
            (50, [30, 10, 10]),
        ):
            corpus = data.load("synthetic", speakers=speakers, words=1)
            split = splits.split(corpus, "predefined")
            sets = [corpus.select(s) for s in (split.train, split.validation, split.test)]
            assert [len(one.labels("speaker")) for one in sets] == sizes
            assert sum(sizes) == speakers

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"speakers": 2}, "speakers must be at least 3; found 2"),
            ({"words": 0}, "words must be at least 1; found 0"),
            ({"takes": 0}, "takes must be at least 1; found 0"),
            ({"correlate": "text"}, "must be 'speaker', 'word' or None; found 'text'"),
            ({"correlation": 1.5}, r"correlation must be in \[0, 1\]; found 1.5"),
            ({"seed": -1}, "seed must be in .* found -1"),
        ],
    )
    def test_errors(self, options, message):
        with pytest.raises(CorpusError, match=message):
            data.load("synthetic", **options)


class TestCorrelation:
    @pytest.mark.parametrize(("factor", "column"), [("word", "text"), ("speaker", "speaker")])
    @pytest.mark.parametrize("takes", [1, 3])
    def test_factor_predicts_the_emotion_only_in_the_training_set(self, factor, column, takes):
        corpus = data.load("synthetic", correlate=factor, takes=takes)
        split = splits.split(corpus, "predefined")
        assert len(corpus) == 640 * takes

        def information(indices: np.ndarray) -> float:
            selected = corpus.select(indices)
            return mutual_info_score(selected.column("emotion"), selected.column(column)) / np.log(
                2
            )

        # At most 2 bits; the fraction 0.9 leaves an entropy of 0.50 (0.925 and three times 0.025).
        assert information(split.train) == pytest.approx(1.5, abs=0.12)
        assert information(split.validation) == pytest.approx(0, abs=1e-9)
        assert information(split.test) == pytest.approx(0, abs=1e-9)
        emotions = Counter(corpus.select(split.train).column("emotion"))
        assert set(emotions.values()) == {96 * takes}

    def test_the_other_factor_is_independent_of_the_emotion(self):
        corpus = data.load("synthetic", correlate="word", correlation=0.5)
        train = corpus.select(splits.split(corpus, "predefined").train)
        # The bias of an estimate from 384 utterances: 33 degrees of freedom / (2 n), in nats.
        assert mutual_info_score(train.column("emotion"), train.column("speaker")) < 0.043

    def test_correlation_holds_for_every_speaker(self):
        corpus = data.load("synthetic", correlate="word")
        train = corpus.select(splits.split(corpus, "predefined").train)
        emotion_of_word = dict(
            zip([f"w{w}" for w in range(8)], synthetic.EMOTIONS * 2, strict=True)
        )
        for speaker in train.labels("speaker"):
            rows = [u for u in train.utterances if u.speaker == speaker]
            assert 0.8 < np.mean([u.emotion == emotion_of_word[u.text] for u in rows]) <= 1

    def test_extremes(self):
        none = data.load("synthetic", correlate="word", correlation=0.0)
        assert none.utterances == data.load("synthetic").utterances
        full = data.load("synthetic", correlate="word", correlation=1.0)
        train = full.select(splits.split(full, "predefined").train)
        pairs = set(zip(train.column("text"), train.column("emotion"), strict=True))
        assert len(pairs) == 8

    def test_changes_no_utterance(self):
        options = {"speakers": 3, "words": 4}
        free, tied = (
            data.load("synthetic", **options, correlate=correlate) for correlate in (None, "word")
        )
        paths = set(free.column("path"))
        for utterance in [u for u in tied.utterances if u.path in paths][::7]:
            np.testing.assert_allclose(
                free.read(utterance, RATE), tied.read(utterance, RATE), atol=1e-5
            )


class TestSound:
    def test_range_type_and_length(self, whole):
        corpus, waveforms = whole
        for waveform in waveforms:
            assert waveform.dtype == np.float32
            assert waveform.ndim == 1
            assert 1.2 * RATE <= len(waveform) <= 3.0 * RATE
            assert np.abs(waveform).max() < 1
            assert waveform.std() > 0.001
        assert len({splits.content_hash(waveform) for waveform in waveforms}) == len(corpus)
        gains = [np.abs(w).max() for w in waveforms]
        assert np.percentile(gains, 90) > 5 * np.percentile(gains, 10)

    def test_an_utterance_is_determined_by_seed_and_name(self, whole):
        corpus, waveforms = whole
        # Fewer speakers and words: other chunks, the same utterances.
        small = data.load("synthetic", speakers=3, words=2)
        other = data.load("synthetic", speakers=3, words=2, seed=1)
        by_path = dict(zip(corpus.column("path"), waveforms, strict=True))
        for utterance in small.utterances:
            waveform = small.read(utterance, RATE)
            np.testing.assert_allclose(waveform, by_path[utterance.path], atol=1e-5)
            different = other.read(utterance, RATE)
            n = min(len(waveform), len(different))
            assert abs(np.corrcoef(waveform[:n], different[:n])[0, 1]) < 0.5

    def test_same_seed_same_samples(self):
        first, second = (
            data.waveforms(data.load("synthetic", speakers=3, words=1, seed=5))[1] for _ in range(2)
        )
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a, b)

    def test_readers_may_write(self):
        corpus = data.load("synthetic", speakers=3, words=1)
        corpus.read(corpus.utterances[0], RATE)[:] = 0
        assert corpus.read(corpus.utterances[0], RATE).any()

    def test_resampling(self, whole):
        corpus, waveforms = whole
        for rate in (8000, 22050):
            resampled = corpus.read(corpus.utterances[5], rate)
            assert resampled.dtype == np.float32
            assert len(resampled) == pytest.approx(len(waveforms[5]) * rate / RATE, abs=1)
            assert np.abs(resampled).max() <= 1

    def test_voice_has_the_requested_pitch(self, key):
        # Far from any emotion: a monotone, undisturbed voice of a known F0.
        names = speech.Manner._fields
        values = dict.fromkeys(names, np.float32(0)) | {
            "rate": np.float32(3),
            "formant_scale": np.float32(1),
            "pauses": np.float32([0.1, 0.1]),
        }
        phrase = speech.Phrase(
            consonants=np.full(6, 5, np.int32),
            vowels=np.arange(6, dtype=np.int32),
            lengths=np.ones(6, np.float32),
            accents=np.zeros(6, np.float32),
        )
        for f0_hz in (90.0, 150.0, 260.0):
            manner = speech.Manner(**values | {"f0_hz": np.float32(f0_hz)})
            waveform, length = say(key, manner, phrase)
            assert int(length) == round(2.2 * RATE)
            waveform = np.asarray(waveform)
            assert pitch(waveform[:length]) == pytest.approx(f0_hz, rel=0.01)
            assert np.abs(waveform[length + 2000 :]).max(initial=0) < 1e-3
            spoken = waveform[round(0.1 * RATE) : round(2.1 * RATE)]
            assert np.sqrt(np.mean(spoken**2)) == pytest.approx(0.05, rel=0.02)

    def test_vowels_have_the_published_formants(self, key):
        # Long vowels of a low voice: the envelope's peaks, by linear prediction at 8 kHz.
        manner = speech.Manner(
            *np.float32([90, 0, 0, 2, 0, 0, 0, 0.01, 0.02, 1, 1]), pauses=np.float32([0.1, 0.1])
        )
        for vowel, (f1, f2) in {3: (660, 1720), 4: (730, 1090), 2: (530, 1840)}.items():
            phrase = speech.Phrase(
                consonants=np.full(6, 7, np.int32),
                vowels=np.full(6, vowel, np.int32),
                lengths=np.float32([4, 0, 0, 0, 0, 0]),
                accents=np.zeros(6, np.float32),
            )
            waveform = np.asarray(say(key, manner, phrase)[0])
            steady = librosa.resample(waveform[RATE : 2 * RATE], orig_sr=RATE, target_sr=8000)
            roots = np.roots(librosa.lpc(librosa.effects.preemphasis(steady), order=10))
            sharp = roots[(roots.imag > 0) & (np.abs(roots) > 0.9)]
            peaks = np.sort(np.angle(sharp)) * 8000 / (2 * np.pi)
            peaks = peaks[peaks > 250]
            np.testing.assert_allclose(peaks[:2], (f1, f2), rtol=0.12)


class TestEmotions:
    @pytest.mark.parametrize(
        ("what", "more", "less"),
        [
            ("pitch", "anger", "neutral"),
            ("pitch", "anger", "sadness"),
            ("pitch", "happiness", "sadness"),
            ("brightness", "anger", "happiness"),
            ("brightness", "anger", "neutral"),
            ("brightness", "neutral", "sadness"),
            ("seconds", "sadness", "neutral"),
            ("seconds", "neutral", "anger"),
        ],
    )
    def test_published_direction_in_every_voice(self, means, what, more, less):
        difference = means[what][more] - means[what][less]
        assert difference.mean() > 0
        assert np.mean(difference > 0) >= 0.85

    def test_women_speak_higher(self, means):
        neutral = means["pitch"]["neutral"]
        # 9 semitones between the averages, give or take ten speakers of each sex.
        assert neutral[1::2].mean() - neutral[::2].mean() == pytest.approx(9.1, abs=1.5)

    # A classifier of simple statistics is nearly perfect on the default corpus, which is for first
    # runs, and worse on a corpus with much variation, which is for comparisons.
    @pytest.mark.parametrize(("variation", "least", "most"), [(0.5, 0.85, 1.0), (2.0, 0.5, 0.92)])
    def test_variation_sets_the_difficulty(self, variation, least, most):
        corpus, waveforms = data.waveforms(synthetic.load(variation=variation))
        features = []
        for waveform in waveforms:
            power = librosa.feature.melspectrogram(
                y=waveform, sr=RATE, n_fft=512, hop_length=256, n_mels=40
            )
            # Relative to the loudest point: absolute loudness is removed, as in training.
            level = librosa.power_to_db(power, ref=np.max, top_db=60)
            features.append(
                [
                    *level.mean(axis=1),
                    *level.std(axis=1),
                    *np.diff(level).std(axis=1),
                    len(waveform),
                ]
            )
        x, y = np.array(features), np.array(corpus.column("emotion"))
        recalls = []
        for seed in range(3):
            split = splits.split(corpus, "speaker", seed=seed)
            seen = np.concatenate([split.train, split.validation])
            model = make_pipeline(StandardScaler(), SVC(C=10)).fit(x[seen], y[seen])
            predicted = model.predict(x[split.test])
            recalls.append(recall_score(y[split.test], predicted, average="macro"))
        assert least < np.mean(recalls) <= most
