"""The model cache: kept below its cap, and never a reason not to start."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgeflow.backends.model_cache import trim_cache, usable_cache
from edgeflow.backends.runner import Placement
from edgeflow.bundles.bundle import Bundle
from edgeflow.scoring.loading import choose_graph, make_scorer
from tests.support.tiny import TinyProduct


def blob(folder: Path, name: str, *, used_s: int, size: int = 1_000_000) -> Path:
    path = folder / name
    path.write_bytes(bytes(size))
    os.utime(path, (used_s, used_s))
    return path


def test_the_models_unused_for_longest_go_first(tmp_path: Path) -> None:
    oldest = blob(tmp_path, "a.blob", used_s=100)
    newest = blob(tmp_path, "b.blob", used_s=300)
    middle = blob(tmp_path, "c.blob", used_s=200)
    assert trim_cache(tmp_path, max_mb=2.5) == 1
    assert [path.exists() for path in (oldest, middle, newest)] == [False, True, True]
    assert trim_cache(tmp_path, max_mb=1) == 1
    assert [path.exists() for path in (middle, newest)] == [False, True]


def test_nothing_but_compiled_models_is_removed(tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("mine")
    outside = blob(tmp_path.parent, "outside.blob", used_s=1)
    (tmp_path / "link.blob").symlink_to(outside)
    assert trim_cache(tmp_path, max_mb=1e-6) == 0
    assert note.exists()
    assert outside.exists()


def test_a_cache_folder_is_made_and_trimmed(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "cache"
    assert usable_cache(folder, 1) == folder
    blob(folder, "a.blob", used_s=1, size=3_000_000)
    assert usable_cache(folder, 1) == folder
    assert list(folder.iterdir()) == []
    assert usable_cache(None, 1) is None


def test_a_cache_that_cannot_be_written_is_gone_without_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        assert usable_cache(tmp_path / "file" / "cache", 1) is None
    assert "cannot be written" in caplog.text
    assert "runtime.cache_dir" in caplog.text


def test_a_scorer_is_made_where_the_cache_cannot_be(
    tiny: TinyProduct, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    with Bundle.open(tiny.bundle) as bundle, caplog.at_level(logging.WARNING):
        scorer = make_scorer(
            bundle,
            choose_graph(bundle, backend="openvino", precision="fp32"),
            placement=Placement(cache_dir=tmp_path / "file" / "cache"),
        )
        part = bundle.manifest.golden[0]
        assert scorer.score(bundle.golden_images(part)).part == pytest.approx(
            bundle.golden_expectation(part).part, rel=1e-3
        )
    assert "going on without it" in caplog.text


_FULL_DISK = """
import resource, sys
from pathlib import Path
from edgeflow.bundles.bundle import Bundle
from edgeflow.backends.runner import Placement
from edgeflow.scoring.verification import verify_graph
from edgeflow.scoring.loading import choose_graph
if sys.argv[3] == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
with Bundle.open(Path(sys.argv[1])) as bundle:
    graph = choose_graph(bundle, backend="openvino", precision="fp32")
    print(len(verify_graph(bundle, graph, placement=Placement(cache_dir=Path(sys.argv[2])))))
"""


def test_a_full_disk_stops_neither_this_start_nor_the_next(tiny: TinyProduct, tmp_path: Path) -> None:
    """A file that could not be written whole may still lie there at the next start."""
    with Bundle.open(tiny.bundle) as bundle:
        golden = len(bundle.manifest.golden)
        assert choose_graph(bundle, backend="openvino", precision="fp32").weights
    for disk in ("full", "free"):
        done = subprocess.run(
            [sys.executable, "-c", _FULL_DISK, str(tiny.bundle), str(tmp_path), disk],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) == golden


def test_a_damaged_compiled_model_is_compiled_anew(tiny: TinyProduct, tmp_path: Path) -> None:
    with Bundle.open(tiny.bundle) as bundle:
        part = bundle.manifest.golden[0]
        scores = []
        for _ in range(2):
            graph = choose_graph(bundle, backend="openvino", precision="fp32")
            scorer = make_scorer(bundle, graph, placement=Placement(cache_dir=tmp_path))
            scores.append(scorer.score(bundle.golden_images(part)).part)
            scorer.close()
            (compiled,) = tmp_path.glob("*.blob")
            compiled.write_bytes(compiled.read_bytes()[: compiled.stat().st_size // 2])
    assert scores[0] == scores[1]
