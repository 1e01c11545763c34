"""Check of JSON content against schemas, and the limits of JSON files."""

import json
import math
from typing import Any, Literal, NotRequired, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serjax.errors import InputError
from serjax.files import read_json, schema, write_json


class Inner(TypedDict):
    size: schema.Count
    share: NotRequired[schema.Fraction]


class Content(TypedDict):
    name: str
    kind: NotRequired[Literal["a", "b"] | None]
    inner: NotRequired[list[Inner]]
    by_name: NotRequired[dict[str, float]]
    anything: NotRequired[Any]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-2, 2) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "content",
    [
        {"name": "x"},
        {"name": "\udcff", "further": 3},
        {"name": "x", "kind": None, "inner": [{"size": 0}, {"size": 2, "share": 1}]},
        {"name": "x", "kind": "b", "by_name": {"a": 1, "b": -0.5}, "anything": [{}]},
    ],
)
def test_content_of_the_schema_passes(content):
    schema.check(content, Content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "expected an object, found a list"),
        ({}, "expected name, found none"),
        ({"name": 3}, "name: expected a text, found 3"),
        ({"name": "x", "kind": "c"}, "kind: expected 'a' or 'b' or null, found 'c'"),
        ({"name": "x", "inner": {}}, "inner: expected a list, found an object"),
        ({"name": "x", "inner": [{"size": 1}, 2]}, "inner[1]: expected an object, found 2"),
        ({"name": "x", "inner": [{}]}, "expected inner[0].size, found none"),
        (
            {"name": "x", "inner": [{"size": -1}]},
            "inner[0].size: expected a whole number of at least 0, found -1",
        ),
        (
            {"name": "x", "inner": [{"size": True}]},
            "inner[0].size: expected a whole number of at least 0, found True",
        ),
        (
            {"name": "x", "inner": [{"size": 1, "share": 1.5}]},
            "inner[0].share: expected a number from 0 to 1, found 1.5",
        ),
        ({"name": "x", "by_name": {"a\nb": "y"}}, r"by_name.'a\nb': expected a number, found 'y'"),
        ({"name": "x", "by_name": {"a": math.nan}}, "by_name.a: expected a number, found nan"),
    ],
)
def test_other_content_is_refused_with_its_field(content, message):
    with pytest.raises(InputError) as refused:
        schema.check(content, Content)
    assert str(refused.value) == message


@given(VALUES)
def test_any_content_passes_or_is_refused_in_a_line(content):
    message = ""
    try:
        schema.check({"name": "x", "inner": content, "by_name": content}, Content)
    except InputError as error:
        message = str(error)
    assert len(message.splitlines()) == 1 or content in ([], {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected JSON, "),
        ("", "expected JSON, "),
        ('{"a": NaN}', "expected finite numbers, found NaN"),
        ('{"a": -Infinity}', "expected finite numbers, found -Infinity"),
        ('{"a": 1e999}', "expected finite numbers, found 1e999"),
        ('{"a": 9223372036854775808}', "expected numbers below 2**63, found 9223372036854775808"),
        ('{"a": 1' + "0" * 10_000 + "}", "expected numbers below 2**63, found 10000"),
        ("[" * 40 + "]" * 40, "expected values nested at most 32 deep, found deeper"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "expected values nested at most 32 deep"),
        ('{"a": "\udcff"}', "a: expected a number, found "),
    ],
)
def test_json_that_no_program_can_use_is_refused(tmp_path, text, message):
    path = tmp_path / "file.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError) as refused:
        read_json(path, dict[str, float])
    assert str(refused.value).startswith(f"{path}: {message}")
    assert len(str(refused.value).splitlines()) == 1


def test_what_is_no_readable_file_is_named(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder", "missing"):
        with pytest.raises(InputError, match=f"{name}: expected a file, found"):
            read_json(tmp_path / name, dict[str, Any])


def test_written_content_is_read_again(tmp_path):
    content = {"name": "\udcff", "by_name": {"ü": 0.1}, "big": 2**63 - 1, "deep": [[[{}]]]}
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json", Content) == content
    (tmp_path / "b.json").write_text("\ufeff" + json.dumps({"name": "x"}), encoding="utf-8")
    assert read_json(tmp_path / "b.json", Content) == {"name": "x"}
