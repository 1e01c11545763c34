"""Declared options: names, checks and files."""

import dataclasses
import json
from typing import Any, Literal

import pytest

from serjax import options
from serjax.errors import InputError
from serjax.options import option


@dataclasses.dataclass(frozen=True)
class Inner:
    size: int | None = option(None, "A size.", minimum=1)
    rate: float = option(0.5, "A rate.", above=0)
    kind: Literal["left", "right"] = option("left", "A side.", name="side")
    pair: tuple[int, int] | None = option(None, "Two numbers.")
    table: dict[str, Any] = option({}, "A table.")
    hidden: bool = option(False, "A switch.", flag=None)


@dataclasses.dataclass(frozen=True)
class Item:
    name: str
    weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class Config:
    inner: Inner = dataclasses.field(default_factory=Inner)
    items: tuple[Item, ...] = ()
    words: tuple[str, ...] = option((), "Words.")
    seed: int = option(0, "A seed.")


def test_options_have_paths_names_and_flags():
    known = options.options_of(Config)
    assert list(known) == ["size", "rate", "side", "pair", "table", "hidden", "words", "seed"]
    assert known["side"].path == "inner.kind"
    assert known["side"].flag == "--side"
    assert known["hidden"].flag is None
    assert options.choices_of(known["side"]) == ("left", "right")


def test_names_that_occur_twice_are_refused():
    @dataclasses.dataclass(frozen=True)
    class Twice:
        inner: Inner = dataclasses.field(default_factory=Inner)
        rate: float = option(1.0, "Another rate.")

    with pytest.raises(TypeError, match="two options are named 'rate'"):
        options.options_of(Twice)


def test_values_are_replaced_by_their_names():
    config = options.replace(Config(), size=3, side="right", seed=7)
    assert (config.inner.size, config.inner.kind, config.seed) == (3, "right", 7)
    assert options.replace(Config(), inner=Inner(size=2), rate=2.0).inner == Inner(2, 2.0)
    with pytest.raises(InputError, match=r"unknown option 'sise': did you mean 'size'\?"):
        options.replace(Config(), sise=3)


def test_defaults_are_not_shared():
    Config().inner.table["key"] = 1
    assert Config().inner.table == {}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 0}, "inner.size: expected at least 1, found 0"),
        ({"size": 1.5}, "inner.size: expected a whole number or null, found 1.5"),
        ({"size": True}, "inner.size: expected a whole number or null, found True"),
        ({"rate": 0.0}, "inner.rate: expected more than 0, found 0.0"),
        ({"rate": float("inf")}, "inner.rate: expected more than 0, found inf"),
        ({"rate": float("nan")}, "inner.rate: expected more than 0, found nan"),
        ({"rate": "fast"}, "inner.rate: expected a number, found 'fast'"),
        ({"side": "lft"}, "unknown side 'lft': did you mean 'left'"),
        ({"pair": (1, 2, 3)}, r"inner.pair: expected a list or null, found \(1, 2, 3\)"),
        ({"table": 3}, "inner.table: expected a table, found 3"),
        ({"words": (1,)}, "words: expected a list, found"),
    ],
)
def test_values_are_checked(values, message):
    with pytest.raises(InputError, match=message):
        options.check(options.replace(Config(), **values))


def test_whole_numbers_are_numbers():
    options.check(options.replace(Config(), rate=1, pair=(1, 2), table={"a": None}))


@pytest.mark.parametrize("suffix", [".json", ".yaml", ".yml"])
def test_files_come_back(tmp_path, suffix):
    config = options.replace(
        Config(), pair=(3, 4), table={"a": [1, 2]}, words=("x", "y"), items=(Item("z", 2.0),)
    )
    path = tmp_path / f"config{suffix}"
    path.write_text(json.dumps(options.to_json(config)))  # JSON is YAML too
    assert options.read_file(Config, path) == config


def test_yaml_files_are_read(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("inner:\n  size: 4\n  kind: right\nwords: [a, b]\nextra: 1\n")
    config = options.read_file(Config, path, ignored=["extra"])
    assert config == options.replace(Config(), size=4, side="right", words=("a", "b"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected JSON"),
        ("[]", "expected a table of options, found list"),
        ('{"sed": 1}', r"unknown key 'sed': did you mean 'seed'\?"),
        ('{"inner": {"sice": 1}}', r"inner: unknown key 'sice': did you mean 'size'\?"),
        ('{"inner": 3}', "inner: expected a table of options, found 3"),
        ('{"inner": {"pair": [1]}}', "inner.pair: expected 2 values, found 1"),
        ('{"items": [{"weight": 1}]}', "items: expected name, found none"),
        ('{"inner": {"pair": [1, "a"]}}', r"inner.pair: expected a list or null, found \[1, 'a'\]"),
        ('{"items": 3}', "items: expected a list, found 3"),
        ("[" * 100_000, "expected values nested at most 32 deep"),
    ],
)
def test_bad_files_are_refused(tmp_path, text, message):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        options.read_file(Config, path)
    assert str(path) in str(caught.value)


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.json: expected a file, found: No such"):
        options.read_file(Config, tmp_path / "nowhere.json")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(InputError, match=r"bad\.yaml: expected a YAML file"):
        options.read_file(Config, tmp_path / "bad.yaml")


def test_differences_are_named():
    changed = options.replace(Config(), rate=2.0, seed=1)
    found = {each.path: values for each, *values in options.differences(Config(), changed)}
    assert found == {"inner.rate": [0.5, 2.0], "seed": [0, 1]}
