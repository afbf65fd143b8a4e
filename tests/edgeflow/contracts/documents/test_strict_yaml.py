"""YAML without its traps: what is written is what is read, and everything else is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeflow.contracts.documents.strict_yaml import MAX_BYTES, read_yaml, read_yaml_text
from edgeflow.errors import ConfigError


def parsed(text: str) -> Any:
    return read_yaml_text(text, what="box.yaml")[0]


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_yaml_text(text, what="box.yaml")
    assert "box.yaml" in caught.value.message
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["no", "yes", "on", "off", "12:30:45", "2026-03-04", "0x10", "0o17", "017", "1_000", "3.1.1", "1e",
     ".inf", ".nan", "+", "-x", "nul", "truely"],
)  # fmt: skip
def test_what_only_looks_like_another_type_stays_text(text: str) -> None:
    assert parsed(f"key: {text}") == {"key": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("-7", -7), ("+7", 7), ("8883", 8883), ("1e3", 1000.0), ("1.5", 1.5), (".5", 0.5), ("1.", 1.0),
     ("-1.5e-3", -0.0015), ("true", True), ("False", False), ("null", None), ("~", None), ("", None),
     ('"5"', "5"), ("'true'", "true")],
)  # fmt: skip
def test_plain_numbers_truth_values_and_nothing_are_read(text: str, value: object) -> None:
    read = parsed(f"key: {text}")["key"]
    assert read == value
    assert type(read) is type(value)


def test_keys_are_text_whatever_they_look_like() -> None:
    assert parsed("1: a\ntrue: b\nno: c") == {"1": "a", "true": "b", "no": "c"}


def test_merge_key_bomb_is_refused_before_anything_is_built() -> None:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 9)]
    text = refusal("\n".join(lines))
    assert "line 1: anchor; write the values out" in text
    assert "line 2: alias; write the values out" in text


def test_merge_key_without_alias_is_refused() -> None:
    assert "line 2: merge key; write the values out" in refusal("a:\n  <<: {x: 1}")


def test_anchor_alone_is_refused() -> None:
    assert "line 1: anchor" in refusal("a: &x 1")


@pytest.mark.parametrize("value", ["!!python/object/apply:os.system [ls]", "!!str 5", "! 5", "!own {a: 1}"])
def test_tags_are_refused(value: str) -> None:
    assert "line 1: tag; use plain values" in refusal(f"a: {value}")


def test_all_doubled_keys_are_reported_with_both_lines() -> None:
    text = refusal("a: 1\nb:\n  c: 1\n  c: 2\na: 3")
    assert "b.c (line 4): key given twice; first on line 3" in text
    assert "a (line 5): key given twice; first on line 1" in text


@pytest.mark.parametrize("text", ["? [a, b]\n: 1", "{[a]: 1}", "{{a: 1}: 1}"])
def test_keys_that_are_no_text_are_refused(text: str) -> None:
    assert "key that is not a plain name" in refusal(text)


@pytest.mark.parametrize("text", ["[" * 5000, "- " * 5000, "{a: " * 5000, "[" * 33 + "]" * 33])
def test_deep_nesting_is_refused(text: str) -> None:
    assert "nested deeper than 32 levels" in refusal(text)


def test_nesting_up_to_the_limit_is_read() -> None:
    value = parsed("[" * 32 + "]" * 32)
    for _ in range(31):
        (value,) = value
    assert value == []


@pytest.mark.parametrize("text", ["", "# only a comment\n", "\n\n"])
def test_empty_document_is_refused(text: str) -> None:
    assert "empty; write at least one key" in refusal(text)


def test_second_document_is_refused() -> None:
    assert "another document (line 2" in refusal("a: 1\n---\nb: 2")


def test_syntax_error_names_line_and_column() -> None:
    assert "not valid YAML" in refusal("a:\n\tb: 1")
    assert "(line 2, column 1)" in refusal("a:\n\tb: 1")


@pytest.mark.parametrize(
    ("value", "why"),
    [("1" * 5000, "too many digits"), ("1e999", "number too large"), ('"a\\0b"', "cannot be used"),
     ('"\\ud800"', "cannot be used")],
)  # fmt: skip
def test_values_that_nothing_can_hold_are_refused_with_their_path(value: str, why: str) -> None:
    text = refusal(f"a:\n  b: {value}")
    assert "a.b (line 2): " in text
    assert why in text


def test_lines_of_keys_and_list_entries_are_known() -> None:
    _, lines = read_yaml_text("a: 1\nb:\n  c:\n    - x\n    - y\n", what="box.yaml")
    assert lines["a",] == 1
    assert lines["b", "c"] == 3
    assert lines["b", "c", 1] == 5


def test_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    file = tmp_path / "box.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: two\r\n")
    assert read_yaml(file)[0] == {"a": 1, "b": "two"}


def test_file_over_the_limit_is_refused_and_one_at_the_limit_is_not(tmp_path: Path) -> None:
    file = tmp_path / "box.yaml"
    file.write_bytes(b"a: 1\n" + b"#" * (MAX_BYTES - 5))
    assert read_yaml(file)[0] == {"a": 1}
    file.write_bytes(b"a: 1\n" + b"#" * (MAX_BYTES - 4))
    with pytest.raises(ConfigError, match="larger than 64 kB"):
        read_yaml(file)


@pytest.mark.parametrize("raw", [b"a: \xff", "a: ü".encode("latin-1"), "a: 1".encode("utf-16")])
def test_text_that_is_not_utf8_is_refused(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "box.yaml"
    file.write_bytes(raw)
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        read_yaml(file)


def test_missing_file_and_folder_say_what_to_check(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file.*check the path"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="Is a directory"):
        read_yaml(tmp_path)


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from(list("ab:-?[]{}&*!|>'\"#%@`, \n\t0.e~<\\x")), max_size=40))
def test_any_text_is_read_as_plain_data_or_refused(text: str) -> None:
    try:
        value, _ = read_yaml_text(text, what="box.yaml")
    except ConfigError:
        return
    assert value is None or isinstance(value, dict | list | str | int | float | bool)
