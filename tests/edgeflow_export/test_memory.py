"""Memory: what there is, within a container too; what an export needs; and a refusal instead of a death."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edgeflow.diagnostics.peak_memory import own_peak_bytes
from edgeflow.errors import HardwareError
from edgeflow_export.memory import Need, attainable_bytes, needed, require_memory, volume_of

GB = 10**9


def machine(root: Path, files: dict[str, str]) -> Path:
    """A tree of proc and sys with 8 GB available and a process that holds 1 MiB."""
    files = {
        "proc/meminfo": f"MemTotal: 16000000 kB\nMemAvailable: {8 * GB // 1024} kB\n",
        "proc/self/status": "Name:\tpython\nVmRSS:\t1024 kB\n",
    } | files
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def left(root: Path) -> int:
    found = attainable_bytes(root)
    assert found is not None
    return found - 1024 * 1024


def test_machine_without_groups_gives_what_it_has_available(tmp_path: Path) -> None:
    assert left(machine(tmp_path, {})) == 8 * GB // 1024 * 1024


def test_tightest_control_group_counts_without_the_files_that_it_has_read(tmp_path: Path) -> None:
    base = "sys/fs/cgroup"
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "0::/box/export\n",
            f"{base}/box/memory.max": str(4 * GB),
            f"{base}/box/memory.current": str(3 * GB),
            f"{base}/box/memory.stat": f"anon 1\ninactive_file {GB}\n",
            f"{base}/box/export/memory.max": "max\n",
            f"{base}/box/export/memory.current": str(3 * GB),
        },
    )
    assert left(root) == 2 * GB


def test_control_groups_of_the_first_version_count_as_well(tmp_path: Path) -> None:
    base = "sys/fs/cgroup/memory"
    root = machine(
        tmp_path,
        {
            # The host's path, of which a container sees nothing: its own limits stand at the top.
            "proc/self/cgroup": "5:cpu:/x\n4:memory:/hosts/path\n",
            f"{base}/memory.limit_in_bytes": str(2 * GB),
            f"{base}/memory.usage_in_bytes": str(GB),
        },
    )
    assert left(root) == GB
    (root / f"{base}/memory.limit_in_bytes").write_text(str((1 << 63) - 4096))
    assert left(root) > 7 * GB


def test_real_machine_has_more_than_this_process_holds() -> None:
    found = attainable_bytes()
    assert found is not None
    assert found > own_peak_bytes() / 2 > 1e6


class Doubling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1000))

    def forward(self, images: Tensor) -> Tensor:
        return (images.float() * 2).reshape(-1)


def test_volume_counts_weights_and_everything_written() -> None:
    volume = volume_of(Doubling(), (2, 10, 10, 3))
    assert volume is not None
    assert volume.weights == 4000
    assert volume.activations in {2 * 600 * 4 + 600, 2 * 600 * 4}  # two float results, and the input itself


def test_module_that_looks_at_values_has_no_volume() -> None:
    class Choosing(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images if float(images.float().sum()) > 0 else images + 1

    assert volume_of(Choosing(), (1, 4, 4, 3)) is None


def test_export_that_would_be_killed_is_refused_with_both_figures_and_a_next_step() -> None:
    with pytest.raises(HardwareError) as caught:
        require_memory(Need(bytes=6.2e9, step="calibrating"), hints="choose less", available=3 * GB)
    assert caught.value.exit_code == 6
    for text in ("6.2 GB", "3.0 GB", "calibrating", "choose less", "--ignore-memory"):
        assert text in caught.value.message
    require_memory(Need(bytes=6.2e9, step="calibrating"), hints="", available=7 * GB)


def test_int8_needs_more_than_fp32_and_so_do_more_samples() -> None:
    volume = volume_of(Doubling(), (2, 100, 100, 3))
    assert volume is not None
    fp32, int8 = (needed("model", volume, int8=int8).bytes for int8 in (False, True))
    assert fp32 < int8 < needed("model", volume, int8=True, samples_bytes=10).bytes
