"""A part's folder is whole or not there, whenever the power goes; its arrays are held by nobody else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeflow.contracts.manifest import Scale
from edgeflow.contracts.messages import Result, from_json
from edgeflow.errors import StorageError
from edgeflow.evidence.files import EvidenceJob, write_evidence

SAMPLE = Path(__file__).parents[2] / "samples" / "result.json"


def job() -> EvidenceJob:
    image = np.zeros((8, 8, 3), np.uint8)
    return EvidenceJob(
        result=from_json(Result, SAMPLE.read_bytes()),
        originals={"top": image, "left": np.zeros((4, 4, 3), np.uint8)},
        images={"top": np.zeros((2, 2, 3), np.uint8)},
        maps={"top": np.zeros((2, 2), np.float32)},
        scales={"top": Scale(centre=0.0, threshold=4.0)},
    )


def test_the_size_of_a_part_is_that_of_all_its_arrays() -> None:
    assert job().size == 8 * 8 * 3 + 4 * 4 * 3 + 2 * 2 * 3 + 2 * 2 * 4


def test_arrays_in_memory_of_others_are_copied_and_its_own_are_not() -> None:
    shared = np.arange(4 * 8 * 8 * 3, dtype=np.uint8).reshape(4, 8, 8, 3)
    floats = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    part = EvidenceJob(
        result=from_json(Result, SAMPLE.read_bytes()),
        originals={"top": shared[1], "left": shared[2].copy()},
        images={"top": shared[3]},
        maps={"top": floats[1]},
        scales={"top": Scale(centre=0.0, threshold=4.0)},
        run_s=7.0,
    )
    owned = part.owned()
    assert owned.originals["left"] is part.originals["left"]
    for mine, theirs in (
        (owned.originals["top"], shared[1]),
        (owned.images["top"], shared[3]),
        (owned.maps["top"], floats[1]),
    ):
        assert not np.shares_memory(mine, theirs)
        assert (mine == theirs).all()
        assert mine.dtype == theirs.dtype
    assert (owned.result, owned.scales, owned.run_s) == (part.result, part.scales, 7.0)
    assert owned.size == part.size


def test_what_cannot_be_written_leaves_nothing_and_names_folder_cause_and_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"evidence\.dir") as caught:
        write_evidence(tmp_path / "file" / "r-1", job())
    assert f"evidence {tmp_path / 'file' / 'r-1'}: cannot be written: Not a directory" in str(caught.value)
    with pytest.raises(KeyError):
        write_evidence(tmp_path / "day" / "r-1", EvidenceJob(**(vars(job()) | {"scales": {}})))
    assert list((tmp_path / "day").iterdir()) == []


def test_the_day_is_made_with_all_folders_above_it(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" / "r-1"
    write_evidence(folder, job())
    assert json.loads((folder / "evidence.json").read_text())["files"].keys() == {
        "top.png", "left.png", "top_map.npy", "top_heat.png", "result.json",
    }  # fmt: skip


# Writes one part in a process of its own that ends just before its n-th step on the file system, for every n.
KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from edgeflow.contracts.manifest import Scale
from edgeflow.contracts.messages import Result, from_json
from edgeflow.evidence.files import EvidenceJob, write_evidence
root, sample = Path(sys.argv[1]), Path(sys.argv[2])
result = from_json(Result, sample.read_bytes())
image = np.zeros((8, 8, 3), np.uint8)
for number in range(1, 100):
    child = os.fork()
    if child == 0:
        left = number
        def step(event, _):
            global left
            if event in ("open", "os.rename", "os.mkdir"):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        job = EvidenceJob(
            result=result.model_copy(update={"result_id": f"r-{number}"}), originals={"top": image},
            images={"top": image}, maps={"top": np.zeros((2, 2), np.float32)},
            scales={"top": Scale(centre=0.0, threshold=4.0)},
        )
        sys.addaudithook(step)
        write_evidence(root / "2026-01-01" / f"r-{number}", job)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL
print(number)
"""


def test_killed_at_every_step_a_part_is_whole_or_known_as_unfinished(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path, SAMPLE], capture_output=True, text=True, check=True
    )
    last = int(done.stdout)
    assert last >= 8
    day = tmp_path / "2026-01-01"
    whole = [folder for folder in day.iterdir() if not folder.name.startswith(".")]
    assert [folder.name for folder in whole] == [f"r-{last}"]
    for unfinished in set(day.iterdir()) - set(whole):
        files = {file.name for file in unfinished.iterdir()}
        assert files <= {"evidence.json"} or json.loads((unfinished / "evidence.json").read_text() or "{}"), (
            "pictures of nobody's: retention would leave them for ever"
        )
