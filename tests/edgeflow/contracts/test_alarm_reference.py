"""The reference of alarms for people names exactly the codes that a box can raise."""

from __future__ import annotations

import re
import typing
from pathlib import Path

from edgeflow.contracts.messages import AlarmCode


def test_every_alarm_code_is_explained_once_in_order(repository: Path) -> None:
    text = (repository / "docs" / "reference" / "alarms.md").read_text("utf-8")
    sections = re.findall(r"^## ([a-z_]+)$", text, re.MULTILINE)
    assert sections == sorted(typing.get_args(AlarmCode))


def test_every_explanation_has_meaning_cause_and_remedy(repository: Path) -> None:
    text = (repository / "docs" / "reference" / "alarms.md").read_text("utf-8")
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        code = section.split("\n", 1)[0]
        for word in ("Meaning:", "Cause:", "What to do:"):
            assert section.count(word) == 1, f"{code} lacks '{word}'"
