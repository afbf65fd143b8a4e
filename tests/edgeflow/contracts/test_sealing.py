"""The form that is signed: one for every language, and the same as ever."""

from __future__ import annotations

import json
import math
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow.contracts.sealing import canonical, is_sealed, number_text, seal

SECRET = b"a secret of these tests"
AS_JAVASCRIPT = [
    (250.0, "250"), (0.1, "0.1"), (-0.0, "0"), (1e20, "100000000000000000000"), (1e21, "1e+21"),
    (1.5e22, "1.5e+22"), (1e-6, "0.000001"), (1.25e-6, "0.00000125"), (1e-7, "1e-7"), (-1e-5, "-0.00001"),
    (1.7976931348623157e308, "1.7976931348623157e+308"), (5e-324, "5e-324"), (123456789.125, "123456789.125"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), AS_JAVASCRIPT)
def test_numbers_are_as_javascript_writes_them(value: float, text: str) -> None:
    assert number_text(value) == text


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js, a JavaScript to compare with")
def test_javascript_writes_these_numbers_in_this_way() -> None:
    values = json.dumps([value for value, _ in AS_JAVASCRIPT])
    done = subprocess.run(
        ["node", "-e", f"for (const v of {values}) console.log(JSON.stringify(v))"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.split() == [text for _, text in AS_JAVASCRIPT]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_digit_is_lost(value: float) -> None:
    assert float(number_text(value)) == value
    assert json.loads(number_text(value)) == value


def test_keys_are_sorted_and_null_is_left_out_at_every_level() -> None:
    document = {"z": 1.0, "a": {"y": None, "x": [1.5, 2.0, {"b": 1, "a": "ü"}]}, "n": None, "signature": "s"}
    assert canonical(document).decode() == '{"a":{"x":[1.5,2,{"a":"ü","b":1}]},"z":1}'


def test_true_is_no_number_and_text_is_escaped_as_json() -> None:
    assert canonical({"a": True, "b": 'x"\n'}) == b'{"a":true,"b":"x\\"\\n"}'


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.one_of(
            st.none(), st.booleans(), st.integers(-(2**53), 2**53),
            st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=9),
        ),
        max_size=6,
    )
)  # fmt: skip
def test_a_seal_holds_after_the_way_over_the_wire_and_shows_a_changed_context(
    context: dict[str, object],
) -> None:
    document = {"verdict": "OK", "context": context}
    try:
        signature = seal(document, SECRET)
    except UnicodeEncodeError:  # half a character: no message can carry it
        return
    sent = json.loads(json.dumps(document | {"signature": signature}))
    assert is_sealed(sent, SECRET)
    assert not is_sealed({**sent, "context": {**context, "more": 1}}, SECRET)
    assert not is_sealed({**sent, "verdict": "NG"}, SECRET)


def test_a_number_that_is_none_is_not_sealed_as_another() -> None:
    assert not is_sealed({"a": math.nan, "signature": seal({"a": 0.0}, SECRET)}, SECRET)
