"""The corpora on generated trees, with the defects of real copies."""

from collections import Counter
from pathlib import Path

import pytest
import soundfile

from serjax import audio, data
from serjax.data.corpora import PUBLISHED
from serjax.data.corpus import EMOTIONS, CorpusError, Utterance
from tests.helpers.trees import touch, write_tone


class TestPublished:
    @pytest.mark.parametrize("name", PUBLISHED)
    def test_counts_sum_to_the_total(self, name: str):
        # IEMOCAP: 2,507 without agreement and 3 of other emotions; VoxCeleb has no counts.
        unlabelled = {"iemocap": 2510, "voxceleb": 153516}.get(name, 0)
        assert sum(PUBLISHED[name].counts.values()) + unlabelled == PUBLISHED[name].total

    @pytest.mark.parametrize("name", PUBLISHED)
    def test_emotions_have_the_common_names(self, name: str):
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
    def test_labels_are_read_from_the_name_not_the_folder(self, tmp_path: Path, folder: str):
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
        assert corpus.notes == ("ignored 1 files that are no recordings",)

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
        readable, _ = data.waveforms(corpus, skip_bad_files=True)
        assert readable.column("path") == ["1076_MTI_NEU_XX.wav"]

    def test_unknown_code(self, tmp_path: Path):
        touch(tmp_path, "1001_IEO_SUR_LO.wav")
        with pytest.raises(CorpusError, match="unknown emotion code 'SUR'; expected one of ANG"):
            data.load("cremad", tmp_path)


class TestLibrispeechWords:
    LINE = '84-121123-0000 ",GO,,DO,IT\'S,GO," "0.490,0.890,1.0,1.2,1.5,1.8,2.0"\n'

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        touch(tmp_path, "LibriSpeech/dev-clean/84/121123/84-121123-0000.flac")
        alignment = "LibriSpeech-Alignments/dev-clean/84/121123/84-121123.alignment.txt"
        touch(tmp_path, alignment, "LibriSpeech/dev-clean/84/121123/84-121123.trans.txt")
        (tmp_path / alignment).write_text(self.LINE)
        return tmp_path

    def test_words_are_segments_of_recordings(self, folder: Path):
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

    def test_reads_only_the_word(self, folder: Path):
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

    def test_missing_recordings_and_alignments_are_noted(self, folder: Path):
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
        assert corpus.notes == (
            "left out 1 files of sound which are not named as Speech Commands's are: "
            "_background_noise_/pink_noise.wav",
        )

    def test_the_official_split(self, tmp_path: Path):
        touch(tmp_path, *(f"go/{i}a_nohash_{take}.wav" for i in range(3) for take in range(2)))
        (tmp_path / "validation_list.txt").write_text("go/1a_nohash_0.wav\ngo/1a_nohash_1.wav\n")
        assert data.load("speech_commands", tmp_path).labels("session") == []
        (tmp_path / "testing_list.txt").write_text("go/2a_nohash_0.wav\ngo/2a_nohash_1.wav\n")
        corpus = data.load("speech_commands", tmp_path)
        assert corpus.column("session") == ["train"] * 2 + ["validation"] * 2 + ["test"] * 2
        split = data.splits.split(corpus, "predefined", target="text")
        assert [len(split.train), len(split.validation), len(split.test)] == [2, 2, 2]


class TestVoxceleb:
    @pytest.mark.parametrize("above", ["wav/", "dev/wav/", "vox1_dev_wav/wav/", ""])
    def test_fields(self, tmp_path: Path, above: str):
        path = f"{above}id10001/1zcIwhmdeo4/00001.wav"
        corpus = data.load("voxceleb", touch(tmp_path, path))
        assert corpus.utterances == (Utterance(path, speaker="id10001", session="1zcIwhmdeo4"),)

    def test_two_folders_and_equal_file_names(self, tmp_path: Path):
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
