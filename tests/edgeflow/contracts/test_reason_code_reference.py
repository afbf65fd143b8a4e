"""The page of reason codes: every code once, with its verdict and meaning."""

from __future__ import annotations

import re
import typing
from pathlib import Path

from edgeflow.contracts.message_parts.reason_codes import ReasonCode


def test_every_reason_code_is_explained_once_in_order(repository: Path) -> None:
    text = (repository / "docs" / "reference" / "reason-codes.md").read_text("utf-8")
    assert re.findall(r"^## ([a-z_]+)$", text, re.MULTILINE) == sorted(typing.get_args(ReasonCode))
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        assert (section.count("Verdict:"), section.count("Meaning:")) == (1, 1), section
