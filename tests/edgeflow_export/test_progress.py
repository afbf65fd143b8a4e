"""Progress of long work, where nobody sees a bar."""

from __future__ import annotations

import time

import pytest

from edgeflow_export import progress


@pytest.fixture
def every_50_ms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.05)


def work(*, enabled: bool) -> None:
    with progress.progress_bar(enabled=enabled) as bar:
        task = bar.add_task("flow", total=8, note="")
        for step in range(8):
            time.sleep(0.03)
            bar.update(task, advance=1, note=f"loss {step}")


@pytest.mark.usefixtures("every_50_ms")
def test_log_gets_lines_while_the_work_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    work(enabled=True)
    *lines, end = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert 1 <= len(lines) <= 4
    assert all(line.startswith("flow ") and " of 8" in line and "loss" in line for line in lines)
    assert "8/8" in end


@pytest.mark.usefixtures("every_50_ms")
def test_nothing_is_said_where_it_is_not_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    work(enabled=False)
    assert not capsys.readouterr().err.strip()
