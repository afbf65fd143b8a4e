"""A box goes on deciding when nobody reads what it prints, and when whoever read it has gone."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from simulators.small_box import ROOT, start_box, write_box

if TYPE_CHECKING:
    from tests.system.conftest import Broker, Client

SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ: a page is the least, and holds three results


@pytest.mark.parametrize("how", ["stopped", "gone"])
def test_the_line_goes_on_without_a_reader(
    how: str, tmp_path: Path, broker: Broker, client: Callable[[str], Client]
) -> None:
    watcher = client(f"{ROOT}/decision")
    process = start_box(write_box(tmp_path, broker.port, trigger={"period_ms": 100}))
    assert process.stdout is not None
    assert process.stderr is not None
    fcntl.fcntl(process.stdout, SET_PIPE_SIZE, 4096)
    watcher.wait_for_more(1)
    if how == "gone":
        process.stdout.close()
    watcher.wait_for_more(25)
    process.terminate()
    if how == "gone":
        assert process.wait(120) == 0
        assert "standard output is not read" in process.stderr.read()
        process.stderr.close()
    else:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        shown = [json.loads(line) for line in out.splitlines()]
        assert shown[-1]["parts"] == len(shown) - 1 >= 25
