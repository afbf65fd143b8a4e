"""The form of a whole process's log."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import logging
from edgeflow.log_output import begin_log, is_for_people, use_format
begin_log(logging.INFO)
logging.getLogger("edgeflow").info("before")
assert is_for_people()
use_format({form!r})
logging.getLogger("edgeflow").info("after")
logging.getLogger("edgeflow").debug("never")
print(is_for_people())
"""


def logged(form: str) -> tuple[list[str], str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(form=form)], capture_output=True, text=True, check=True
    )
    return done.stderr.splitlines(), done.stdout.strip()


def test_text_stays_text() -> None:
    lines, for_people = logged("text")
    assert [line.rpartition(": ")[2] for line in lines] == ["before", "after"]
    assert for_people == "True"


def test_json_begins_with_the_box_file_and_keeps_the_level() -> None:
    lines, for_people = logged("json")
    assert len(lines) == 2
    assert json.loads(lines[1])["text"] == "after"
    assert for_people == "False"
