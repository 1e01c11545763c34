"""Source networks that several commands want at once."""

from pathlib import Path

import pytest

from serjax.anti_transfer import source_tasks
from serjax.console import Console
from serjax.files.locks import LockedError
from serjax.training.config import RunConfig

STUDENT = RunConfig.make(model="dscnn", dataset_options={"speakers": 6, "words": 2})


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Folders that the source network was trained in; the first try finds another command there."""
    monkeypatch.chdir(tmp_path)
    trained = []

    def finish(config, folder):
        folder.mkdir(parents=True, exist_ok=True)
        source_tasks.report.write_json(folder / "config.json", source_tasks.options.to_json(config))
        (folder / "report.html").write_text("")

    def run(config, *, out, resume, **_):
        trained.append((out, resume))
        if len(trained) == 1:
            raise LockedError(f"{out}: another run is at work there")
        finish(config, out)
        return out

    monkeypatch.setattr(source_tasks, "run", run)
    return trained, finish


def test_the_network_that_another_command_trains_is_waited_for(commands, monkeypatch):
    trained, finish = commands
    config = source_tasks.source_task_config("speaker", STUDENT)
    waited = []
    monkeypatch.setattr(
        source_tasks,
        "wait_until_free",
        lambda folder: (waited.append(folder), finish(config, folder)),
    )
    folder = source_tasks.find_or_train("speaker", STUDENT, Console(quiet=True), [])
    assert waited == [folder]
    assert trained == [(folder, True)]  # not trained a second time


def test_a_network_that_another_command_gave_up_is_trained(commands, monkeypatch):
    trained, _ = commands
    monkeypatch.setattr(source_tasks, "wait_until_free", lambda folder: None)
    folder = source_tasks.find_or_train("speaker", STUDENT, Console(quiet=True), [])
    assert trained == [(folder, True)] * 2


def test_a_network_of_another_configuration_is_not_waited_for(commands, monkeypatch):
    trained, finish = commands

    def run(config, *, out, resume, **_):
        trained.append(out)
        if len(trained) == 1:  # another command has just begun there
            finish(config.replace(seed=99), out)
            raise LockedError(f"{out}: another run is at work there")
        return out

    monkeypatch.setattr(source_tasks, "run", run)
    monkeypatch.setattr(source_tasks, "wait_until_free", lambda folder: pytest.fail("waits"))
    source_tasks.find_or_train("speaker", STUDENT, Console(quiet=True), [])
    first, second = trained
    assert second == Path(f"{first}-2")
