"""The corpora on generated trees, with what goes wrong on people's disks."""

import csv
from collections import Counter
from pathlib import Path

import pytest
import soundfile
from trees import IEMOCAP_COUNTS, iemocap, touch, write_tone

from serjax import audio, data
from serjax.data.corpora import PUBLISHED
from serjax.data.corpus import EMOTIONS, CorpusError, Utterance


class TestPublished:
    @pytest.mark.parametrize("name", PUBLISHED)
    def test_counts_sum_to_the_total(self, name: str):
        # IEMOCAP: 2,507 without agreement and 3 of other emotions; VoxCeleb has no counts.
        unlabelled = {"iemocap": 2510, "voxceleb": 153516}.get(name, 0)
        assert sum(PUBLISHED[name].counts.values()) + unlabelled == PUBLISHED[name].total

    @pytest.mark.parametrize("name", PUBLISHED)
    def test_emotions_are_spelled_as_everywhere(self, name: str):
        if PUBLISHED[name].column == "emotion":
            assert set(PUBLISHED[name].counts) <= set(EMOTIONS)

    @pytest.mark.corpus
    @pytest.mark.parametrize("name", ["fsdd", "ravdess"])
    def test_real(self, name: str, request: pytest.FixtureRequest):
        corpus = data.load(name, request.getfixturevalue(f"{name}_directory"))
        published = PUBLISHED[name]
        assert Counter(corpus.column(published.column)) == published.counts
        assert len(corpus) == published.total
        assert len(corpus.labels("speaker")) == published.speakers


class TestTess:
    def test_fields(self, tmp_path: Path):
        codes = ("angry", "disgust", "fear", "happy", "neutral", "ps", "sad")
        touch(tmp_path, *(f"YAF_x/YAF_back_{code}.wav" for code in codes))
        corpus = data.load("tess", tmp_path)
        assert corpus.column("emotion") == [
            "anger",
            "disgust",
            "fear",
            "happiness",
            "neutral",
            "surprise",
            "sadness",
        ]
        assert {(u.speaker, u.text, u.session) for u in corpus.utterances} == {
            ("YAF", "back", None)
        }

    @pytest.mark.parametrize(
        "folder", ["", "OAF_Fear/", "OAF_Pleasant_surprise/", "YAF_pleasant_surprised/", "TESS/x/"]
    )
    def test_the_name_decides_not_the_folder(self, tmp_path: Path, folder: str):
        corpus = data.load("tess", touch(tmp_path, f"{folder}OAF_bar_ps.wav"))
        assert corpus.utterances == (
            Utterance(f"{folder}OAF_bar_ps.wav", "surprise", speaker="OAF", text="bar"),
        )

    def test_misspelled_recording(self, tmp_path: Path):
        touch(tmp_path, "OAF_neutral/OA_bite_neutral.wav", "OAF_neutral/OAF_bite_sad.wav")
        corpus = data.load("tess", tmp_path)
        assert corpus.column("speaker") == ["OAF", "OAF"]
        touch(tmp_path, "OAF_neutral/OAF_bite_neutral.wav")  # somebody's correction, a copy
        assert len(data.load("tess", tmp_path)) == 2

    def test_every_file_twice(self, tmp_path: Path):
        names = ("OAF_angry/OAF_bar_angry.wav", "YAF_sad/YAF_bar_sad.wav")
        touch(tmp_path, *names, *(f"TESS Toronto emotional speech set data/{n}" for n in names))
        assert data.load("tess", tmp_path).column("path") == list(names)

    def test_rates_differ(self, tmp_path: Path):
        write_tone(tmp_path / "OAF_Fear" / "OAF_food_fear.wav", 0.5, sample_rate=96000)
        write_tone(tmp_path / "OAF_Fear" / "OAF_bar_fear.wav", 0.5, sample_rate=24414)
        _, waveforms = data.waveforms(data.load("tess", tmp_path), 16000)
        assert [abs(len(waveform) - 8000) <= 1 for waveform in waveforms] == [True, True]

    def test_unknown_emotion(self, tmp_path: Path):
        touch(tmp_path, "OAF_bar_bored.wav")
        with pytest.raises(CorpusError, match=r"OAF_bar_bored\.wav: unknown emotion 'bored'"):
            data.load("tess", tmp_path)


SAVEE_CODES = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}


class TestSavee:
    @pytest.mark.parametrize("form", ["AudioData/KL/{}07.wav", "KL_{}07.wav", "x/KL/KL_{}07.wav"])
    def test_layouts_and_codes_of_two_letters(self, tmp_path: Path, form: str):
        touch(tmp_path, *(form.format(code) for code in SAVEE_CODES))
        corpus = data.load("savee", tmp_path)
        assert {u.text: u.emotion for u in corpus.utterances} == {
            f"{code}07": emotion for code, emotion in SAVEE_CODES.items()
        }
        assert set(corpus.column("speaker")) == {"KL"}

    def test_all_speakers_have_files_of_the_same_names(self, tmp_path: Path):
        numbers = {code: 30 if code == "n" else 15 for code in SAVEE_CODES}
        touch(
            tmp_path,
            *(
                f"AudioData/{speaker}/{code}{number:02d}.wav"
                for speaker in ("DC", "JE", "JK", "KL")
                for code, count in numbers.items()
                for number in range(1, count + 1)
            ),
            "Info.txt",
        )
        corpus = data.load("savee", tmp_path)
        published = PUBLISHED["savee"]
        assert Counter(corpus.column("emotion")) == published.counts
        assert Counter(corpus.column("speaker")) == dict.fromkeys(("DC", "JE", "JK", "KL"), 120)
        assert len(corpus) == published.total
        assert corpus.notes == ("ignored 1 files not named as SAVEE's recordings are",)

    def test_both_layouts_at_once(self, tmp_path: Path):
        touch(tmp_path, "AudioData/DC/a01.wav", "DC_a01.wav")
        assert data.load("savee", tmp_path).column("path") == ["DC_a01.wav"]

    def test_unknown_code(self, tmp_path: Path):
        touch(tmp_path, "DC_a01.wav", "DC_s01.wav")
        with pytest.raises(CorpusError, match=r"DC_s01\.wav: unknown emotion code 's'"):
            data.load("savee", tmp_path)


class TestCremad:
    def test_fields(self, tmp_path: Path):
        codes = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
        touch(tmp_path, *(f"AudioWAV/1091_WSI_{code}_XX.wav" for code in codes))
        corpus = data.load("cremad", tmp_path)
        assert corpus.column("emotion") == [
            "anger",
            "disgust",
            "fear",
            "happiness",
            "neutral",
            "sadness",
        ]
        assert {(u.speaker, u.text) for u in corpus.utterances} == {("1091", "WSI")}

    def test_every_level(self, tmp_path: Path):
        names = [f"1001_IEO_ANG_{level}.wav" for level in ("LO", "MD", "HI", "XX")]
        touch(tmp_path, *names, "1040_ITH_SAD_X.wav")
        assert len(data.load("cremad", tmp_path)) == 5

    def test_sound_without_loss_is_preferred(self, tmp_path: Path):
        touch(tmp_path, "AudioMP3/1001_IEO_ANG_LO.mp3", "data/AudioWAV/1001_IEO_ANG_LO.wav")
        corpus = data.load("cremad", tmp_path)
        assert corpus.column("path") == ["data/AudioWAV/1001_IEO_ANG_LO.wav"]

    def test_clone_without_large_files(self, tmp_path: Path):
        for name in ("1001_IEO_ANG_LO", "1001_IEO_SAD_LO"):
            (tmp_path / f"{name}.wav").write_text(
                f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 72882\n",
            )
        corpus = data.load("cremad", tmp_path)
        with pytest.raises(
            audio.AudioError,
            match=r"1001_IEO_ANG_LO\.wav: is a git-lfs pointer.*none of cremad's 2",
        ):
            data.waveforms(corpus)

    def test_recording_without_sound(self, tmp_path: Path):
        write_tone(tmp_path / "1076_MTI_NEU_XX.wav")
        soundfile.write(tmp_path / "1076_MTI_SAD_XX.wav", [], 16000)
        corpus = data.load("cremad", tmp_path)
        with pytest.raises(audio.AudioError, match=r"1076_MTI_SAD_XX\.wav: has no samples"):
            data.waveforms(corpus)
        kept, _ = data.waveforms(corpus, skip_bad_files=True)
        assert kept.column("path") == ["1076_MTI_NEU_XX.wav"]

    def test_unknown_code(self, tmp_path: Path):
        touch(tmp_path, "1001_IEO_SUR_LO.wav")
        with pytest.raises(CorpusError, match="unknown emotion code 'SUR'; expected one of ANG"):
            data.load("cremad", tmp_path)


@pytest.fixture(scope="module")
def iemocap_corpus(tmp_path_factory: pytest.TempPathFactory) -> data.Corpus:
    return data.load("iemocap", iemocap(tmp_path_factory.mktemp("iemocap")))


class TestIemocap:
    @pytest.fixture
    def corpus(self, iemocap_corpus: data.Corpus) -> data.Corpus:
        return iemocap_corpus

    def test_published_counts(self, corpus: data.Corpus):
        published = PUBLISHED["iemocap"]
        counts = Counter(corpus.column("emotion"))
        assert counts.pop(None) == 2507 + 3
        assert counts == published.counts
        assert len(corpus) == published.total

    def test_tables_in_folders_below_are_not_read(self, corpus: data.Corpus):
        # They label utterances without a recording, which would be noted.
        assert len(corpus.notes) == 1
        assert corpus.notes[0].endswith("files not named as IEMOCAP's recordings are")

    @pytest.mark.parametrize(
        ("labels", "counts"),
        [
            # Padi et al. 2021, section 4.1 and table 2.
            ("iemocap_exp1", {"anger": 1103, "happiness": 595, "neutral": 1708, "sadness": 1084}),
            ("iemocap_exp2", {"anger": 1103, "excitement": 1041, "neutral": 1708, "sadness": 1084}),
            ("iemocap_exp3", {"anger": 1103, "happiness": 1636, "neutral": 1708, "sadness": 1084}),
        ],
    )
    def test_experiments(self, corpus: data.Corpus, labels: str, counts: dict[str, int]):
        part = data.labels.apply(corpus, labels)
        totals = {"iemocap_exp1": 4490, "iemocap_exp2": 4936, "iemocap_exp3": 5531}
        assert len(part) == totals[labels]
        assert Counter(part.column("emotion")) == counts

    def test_sessions_of_the_third_experiment(self, corpus: data.Corpus):
        sessions = Counter(data.labels.apply(corpus, "iemocap_exp3").column("session"))
        expected = (1085, 1023, 1151, 1031, 1241)
        assert sessions == {f"Ses0{i}": count for i, count in enumerate(expected, start=1)}

    def test_speaker_is_the_letter_of_the_last_token(self, corpus: data.Corpus):
        differ = 0
        for utterance in corpus.utterances:
            name = Path(utterance.path).stem
            assert utterance.speaker == name[:5] + name.split("_")[-1][0]
            assert utterance.session == name[:5]
            differ += utterance.speaker != name[:6]
        assert len(corpus.labels("speaker")) == 10
        assert differ > len(corpus) / 3  # the tree would show the mistake

    def test_utterances_are_whole_files_with_dimensions(self, corpus: data.Corpus):
        assert corpus.utterances[0] == Utterance(
            "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav",
            "anger",
            speaker="Ses01F",
            session="Ses01",
            valence=2.5,
            activation=3.0,
            dominance=3.5,
        )
        assert {(u.start, u.end, u.text) for u in corpus.utterances} == {(None, None, None)}

    @pytest.mark.parametrize(
        ("label", "emotion"),
        [("fru", "frustration"), ("sur", "surprise"), ("fea", "fear"), ("dis", "disgust")],
    )
    def test_rare_labels(self, tmp_path: Path, label: str, emotion: str):
        corpus = data.load("iemocap", iemocap(tmp_path, {3: {label: 1, "xxx": 1, "oth": 1}}))
        assert Counter(corpus.column("emotion")) == {emotion: 1, None: 2}

    def test_every_file_twice(self, tmp_path: Path):
        iemocap(tmp_path, {1: {"ang": 4}})
        iemocap(tmp_path / "IEMOCAP_full_release", {1: {"ang": 4}})
        corpus = data.load("iemocap", tmp_path)
        assert len(corpus) == 4
        assert all(path.startswith("Session1/") for path in corpus.column("path"))

    def test_recordings_and_labels_that_lack_each_other(self, tmp_path: Path):
        iemocap(tmp_path, {1: {"ang": 3}})
        wav = tmp_path / "Session1/sentences/wav"
        (wav / "Ses01F_impro01/Ses01F_impro01_F000.wav").unlink()
        touch(wav, "Ses01F_impro01/Ses01F_impro01_F099.wav")
        corpus = data.load("iemocap", tmp_path)
        assert len(corpus) == 2
        assert corpus.notes[-2:] == (
            "1 labelled utterances have no recording, such as Ses01F_impro01_F000",
            "1 recordings have no label, such as Ses01F_impro01_F099",
        )

    def test_no_tables(self, tmp_path: Path):
        touch(tmp_path, "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav")
        with pytest.raises(
            CorpusError, match=r"no table in .*, only 1 recordings; .*EmoEvaluation"
        ):
            data.load("iemocap", tmp_path)

    def test_labels_of_other_recordings(self, tmp_path: Path):
        iemocap(tmp_path, {1: {"ang": 1}})
        for path in tmp_path.glob("Session1/sentences/wav/*/*.wav"):
            path.rename(path.with_stem("Ses01F_impro01_F777"))
        with pytest.raises(CorpusError, match=r"none of the 1 labels in .* is of one of its 1"):
            data.load("iemocap", tmp_path)

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("[1.0 - 2.0]\tSes01F_impro01_F000\tjoy\t[1.0, 1.0, 1.0]", "unknown emotion 'joy'"),
            ("[1.0 - 2.0]\tSes01F_impro01_F000\tang", r"expected \[start - end\], utterance"),
        ],
    )
    def test_bad_line(self, tmp_path: Path, line: str, message: str):
        iemocap(tmp_path, {1: {"ang": 1}})
        table = tmp_path / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
        table.write_text(f"% head\n{line}\n")
        with pytest.raises(CorpusError, match=rf"Ses01F_impro01\.txt, line 2: {message}") as raised:
            data.load("iemocap", tmp_path)
        assert "\n" not in str(raised.value)

    def test_the_tree_has_the_published_sums(self):
        sums = Counter()
        for counts in IEMOCAP_COUNTS.values():
            sums.update(counts)
        expected = {"neu": 1708, "ang": 1103, "sad": 1084, "exc": 1041, "hap": 595}
        assert {label: sums[label] for label in expected} == expected


class TestLibrispeechWords:
    LINE = '84-121123-0000 ",GO,,DO,IT\'S,GO," "0.490,0.890,1.0,1.2,1.5,1.8,2.0"\n'

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        touch(tmp_path, "LibriSpeech/dev-clean/84/121123/84-121123-0000.flac")
        alignment = "LibriSpeech-Alignments/dev-clean/84/121123/84-121123.alignment.txt"
        touch(tmp_path, alignment, "LibriSpeech/dev-clean/84/121123/84-121123.trans.txt")
        (tmp_path / alignment).write_text(self.LINE)
        return tmp_path

    def test_words_are_parts_of_recordings(self, folder: Path):
        corpus = data.load("librispeech_words", folder)
        assert [(u.text, u.start, u.end) for u in corpus.utterances] == [
            ("go", 0.49, 0.89),
            ("do", 1.0, 1.2),
            ("it's", 1.2, 1.5),
            ("go", 1.5, 1.8),
        ]
        path = "LibriSpeech/dev-clean/84/121123/84-121123-0000.flac"
        assert {(u.path, u.speaker, u.session) for u in corpus.utterances} == {
            (path, "84", "84-121123")
        }
        assert corpus.labels("emotion") == []

    def test_reads_the_word_alone(self, folder: Path):
        write_tone(folder / "LibriSpeech/dev-clean/84/121123/84-121123-0000.flac", seconds=2)
        _, waveforms = data.waveforms(data.load("librispeech_words", folder))
        assert [len(waveform) for waveform in waveforms] == [6400, 3200, 4800, 4800]

    @pytest.mark.parametrize(("words", "kept"), [(1, {"go"}), (2, {"do", "go"})])
    def test_most_frequent(self, folder: Path, words: int, kept: set[str]):
        corpus = data.load("librispeech_words", folder, words=words)
        assert set(corpus.labels("text")) == kept

    def test_bad_number_of_words(self, folder: Path):
        with pytest.raises(CorpusError, match="words: expected at least 1, found 0"):
            data.load("librispeech_words", folder, words=0)

    def test_what_lacks_the_other_is_noted(self, folder: Path):
        table = folder / "LibriSpeech-Alignments/dev-clean/84/121123/84-121123.alignment.txt"
        table.write_text(self.LINE + self.LINE.replace("0000", "0001"))
        touch(folder, "84-121123-0002.flac")
        assert data.load("librispeech_words", folder).notes[-2:] == (
            "1 aligned utterances have no recording, such as 84-121123-0001",
            "1 recordings have no alignment, such as 84-121123-0002",
        )

    def test_no_alignments(self, tmp_path: Path):
        touch(tmp_path, "84/121123/84-121123-0000.flac")
        with pytest.raises(CorpusError, match=r"no table in .*, only 1 recordings; .*alignment"):
            data.load("librispeech_words", tmp_path)

    @pytest.mark.parametrize(
        "line",
        [
            '84-121123-0000 ",GO" "0.1,0.2,0.3"',
            '84-121123-0000 ",GO" "0.1,x"',
            '84-121123-0000 ",GO" "0.2,0.1"',
            '84-121123-0000 ",GO" "0.1,nan"',
            "84-121123-0000 GO",
        ],
    )
    def test_bad_line(self, folder: Path, line: str):
        table = folder / "LibriSpeech-Alignments/dev-clean/84/121123/84-121123.alignment.txt"
        table.write_text(self.LINE + line)
        with pytest.raises(CorpusError, match=r"84-121123\.alignment\.txt, line 2: expected"):
            data.load("librispeech_words", folder)

    def test_nothing_said(self, folder: Path):
        table = folder / "LibriSpeech-Alignments/dev-clean/84/121123/84-121123.alignment.txt"
        table.write_text('84-121123-0000 "," "1.0,2.0"')
        with pytest.raises(CorpusError, match="hold no word of one of its 1 recordings"):
            data.load("librispeech_words", folder)


class TestSpeechCommands:
    def test_fields(self, tmp_path: Path):
        touch(
            tmp_path,
            "yes/0a7c2a8d_nohash_0.wav",
            "no/0a7c2a8d_nohash_0.wav",
            "_background_noise_/pink_noise.wav",
        )
        corpus = data.load("speech_commands", tmp_path)
        assert corpus.utterances == (
            Utterance("no/0a7c2a8d_nohash_0.wav", speaker="0a7c2a8d", text="no"),
            Utterance("yes/0a7c2a8d_nohash_0.wav", speaker="0a7c2a8d", text="yes"),
        )
        assert corpus.notes == ("ignored 1 files not named as Speech Commands's recordings are",)

    def test_the_owners_parts(self, tmp_path: Path):
        touch(tmp_path, *(f"go/{i}a_nohash_{take}.wav" for i in range(3) for take in range(2)))
        (tmp_path / "validation_list.txt").write_text("go/1a_nohash_0.wav\ngo/1a_nohash_1.wav\n")
        assert data.load("speech_commands", tmp_path).labels("session") == []
        (tmp_path / "testing_list.txt").write_text("go/2a_nohash_0.wav\ngo/2a_nohash_1.wav\n")
        corpus = data.load("speech_commands", tmp_path)
        assert corpus.column("session") == ["train"] * 2 + ["validation"] * 2 + ["test"] * 2
        split = data.splits.split(corpus, "given", target="text")
        assert [len(split.train), len(split.validation), len(split.test)] == [2, 2, 2]


class TestVoxceleb:
    @pytest.mark.parametrize("above", ["wav/", "dev/wav/", "vox1_dev_wav/wav/", ""])
    def test_fields(self, tmp_path: Path, above: str):
        path = f"{above}id10001/1zcIwhmdeo4/00001.wav"
        corpus = data.load("voxceleb", touch(tmp_path, path))
        assert corpus.utterances == (Utterance(path, speaker="id10001", session="1zcIwhmdeo4"),)

    def test_parts_and_equal_file_names(self, tmp_path: Path):
        touch(
            tmp_path,
            "dev/wav/id10001/1zcIwhmdeo4/00001.wav",
            "dev/wav/id10001/7gWzIy6yIIk/00001.wav",
            "dev/wav/id10002/7gWzIy6yIIk/00001.wav",
            "test/wav/id10270/5r0dWxy17C8/00001.wav",
        )
        corpus = data.load("voxceleb", tmp_path)
        assert len(corpus) == 4
        assert corpus.labels("speaker") == ["id10001", "id10002", "id10270"]


class TestFolder:
    def test_emotion_is_the_first_folder(self, tmp_path: Path):
        touch(tmp_path, "Anger/a.wav", "Anger/deep/er/b.FLAC", "sad/a.wav", "notes.txt", "x.wav")
        touch(tmp_path, "sad/._a.wav", ".cache/a.wav")
        corpus = data.load("folder", tmp_path)
        assert [(u.path, u.emotion) for u in corpus.utterances] == [
            ("Anger/a.wav", "anger"),
            ("Anger/deep/er/b.FLAC", "anger"),
            ("sad/a.wav", "sad"),
        ]
        assert corpus.notes == ("ignored 2 files that are no recordings in a sub-folder",)

    def test_reads(self, tmp_path: Path):
        write_tone(tmp_path / "calm" / "a.wav", seconds=0.2)
        _, (waveform,) = data.waveforms(data.load("folder", tmp_path), 8000)
        assert waveform.shape == (1600,)

    def test_empty_class(self, tmp_path: Path):
        touch(tmp_path, "anger/a.wav", "boredom/readme.txt")
        with pytest.raises(CorpusError, match="boredom holds no recording"):
            data.load("folder", tmp_path)

    def test_nothing_there(self, tmp_path: Path):
        with pytest.raises(CorpusError, match="folder: no data directory given; expected"):
            data.load("folder")
        with pytest.raises(CorpusError, match="does not exist"):
            data.load("folder", tmp_path / "nowhere")
        touch(tmp_path, "a.wav")
        with pytest.raises(CorpusError, match=r"no recording in a sub-folder of .*found 1 other"):
            data.load("folder", tmp_path)
        with pytest.raises(CorpusError, match="is a file, not a folder"):
            data.load("folder", tmp_path / "a.wav")


class TestCsv:
    @pytest.fixture
    def write(self, tmp_path: Path):
        touch(tmp_path, "a.wav", "deep/b.wav", "deep/c, d.wav")

        def write(*rows: tuple, name: str = "table.csv") -> Path:
            with (tmp_path / name).open("w", newline="", encoding="utf-8-sig") as file:
                csv.writer(file).writerows(rows)
            return tmp_path / name

        return write

    def test_all_columns(self, write):
        names = ("path", "emotion", "speaker", "text", "session", "start", "end")
        table = write(
            (*names, "valence", "activation", "dominance", "gender"),
            ("deep/b.wav", "Anger", "s1", "hello", "1", "0.5", "1.5", "2", "-1", "1e-1", "f"),
            ("deep/c, d.wav", "sadness", "s2", "", "", "", "", "", "", "", "m"),
            ("a.wav", "sadness", "", "", "", "", "3", "", "", "", ""),
        )
        corpus = data.load("csv", table)
        assert corpus.utterances == (
            Utterance("a.wav", "sadness", end=3.0),
            Utterance("deep/b.wav", "anger", "s1", "hello", "1", 0.5, 1.5, 2.0, -1.0, 0.1),
            Utterance("deep/c, d.wav", "sadness", "s2"),
        )
        assert corpus.notes == ("ignored columns of the CSV: gender",)

    def test_folder_with_one_table(self, write, tmp_path: Path):
        write(("emotion", "path"), ("calm", "deep/b.wav"))
        assert data.load("csv", tmp_path).utterances == (Utterance("deep/b.wav", "calm"),)

    def test_folder_with_several_or_none(self, write, tmp_path: Path):
        with pytest.raises(CorpusError, match=r"expected one CSV file in .*, found none"):
            data.load("csv", tmp_path)
        write(("path",), name="one.csv")
        write(("path",), name="two.csv")
        with pytest.raises(CorpusError, match=r"expected one CSV file in .*, found one\.csv, two"):
            data.load("csv", tmp_path)

    def test_reads_parts(self, write, tmp_path: Path):
        write_tone(tmp_path / "a.wav", seconds=0.5)
        rows = [("a.wav", "calm", "0.1", "0.2"), ("a.wav", "calm", "0.2", "")]
        table = write(("path", "emotion", "start", "end"), *rows)
        _, waveforms = data.waveforms(data.load("csv", table))
        assert [len(waveform) for waveform in waveforms] == [1600, 4800]

    @pytest.mark.parametrize(
        ("header", "rows", "message"),
        [
            ("path,mood", ["a.wav,x"], "line 1: no column emotion; found path, mood"),
            ("file,emotion", ["a.wav,x"], "line 1: no column path; found file, emotion"),
            ("", [], "line 1: no column path; found none"),
            ("path,emotion,path", ["a.wav,x,a.wav"], "line 1: column 'path' is there twice"),
            ("path,emotion", [], "has no line below the names of its columns"),
            ("path,emotion", ["a.wav,x", "deep/b.wav, "], "line 3, column emotion: is empty"),
            ("path,emotion", [",x"], "line 2, column path: is empty"),
            ("path,emotion", ["a.wav"], "line 2: expected 2 cells, found 1"),
            ("path,emotion", ["a.wav,x,y"], "line 2: expected 2 cells, found 3"),
            ("path,emotion", ["a.wav,x", "e.wav,x"], r"line 3, column path: no file .*e\.wav"),
            (
                "path,emotion",
                ["a.wav,x", "deep/b.wav,x", "./a.wav,y"],
                r"line 4, column path: a\.wav is listed already in line 2",
            ),
            (
                "path,emotion,start",
                ["a.wav,x,0", "a.wav,x,half"],
                "line 3, column start: expected a number, found 'half'",
            ),
            ("path,emotion,valence", ["a.wav,x,nan"], "column valence: expected a number"),
            ("path,emotion,start", ["a.wav,x,-1"], "column start: expected 0 or more, found -1"),
            (
                "path,emotion,start,end",
                ["a.wav,x,2,1"],
                "column end: expected more than 2, found 1",
            ),
            ("path,emotion", ['a.wav,"x'], "is not a CSV file"),
        ],
    )
    def test_bad_table(self, write, tmp_path: Path, header: str, rows: list[str], message: str):
        write(("path",)).write_text("\n".join([header, *rows]))
        with pytest.raises(CorpusError, match=rf"table\.csv.*{message}") as raised:
            data.load("csv", tmp_path)
        assert "\n" not in str(raised.value)

    def test_not_text(self, tmp_path: Path):
        (tmp_path / "table.csv").write_bytes(b"path,emotion\n\xff\xfe\x00,x")
        with pytest.raises(CorpusError, match="is not a CSV file in UTF-8"):
            data.load("csv", tmp_path)
