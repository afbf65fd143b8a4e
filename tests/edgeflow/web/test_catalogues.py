"""Texts of the page: each alarm, reason and state has one, and each text is there in every language."""

from __future__ import annotations

from typing import get_args

import pytest

import write_catalogues
from edgeflow.contracts.message_parts.reason_codes import ReasonCode
from edgeflow.contracts.messages import AlarmCode, StateName, VerdictName
from edgeflow.web.language import LANGUAGES, translations
from edgeflow.web.message_table import ADVICE, REASONS, STATES, VERDICTS


@pytest.mark.parametrize(
    ("table", "names"),
    [
        (ADVICE, get_args(AlarmCode)),
        (REASONS, get_args(ReasonCode)),
        (STATES, get_args(StateName)),
        (VERDICTS, get_args(VerdictName)),
    ],
)
def test_every_code_has_its_words(table: dict[str, object], names: tuple[str, ...]) -> None:
    assert set(table) == set(names)


def test_every_text_is_translated_and_compiled() -> None:
    assert write_catalogues.problems() == []
    assert {path.parent.parent.name for path in write_catalogues.WEB.glob("locale/*/*/page.mo")} | {
        "en"
    } == set(LANGUAGES)


def test_places_for_values_survive_translation() -> None:
    german = translations("de")
    for advice in ADVICE.values():
        assert ("{subject}" in advice.title) == ("{subject}" in german.gettext(advice.title))
