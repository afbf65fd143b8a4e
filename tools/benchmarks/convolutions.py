"""Winograd's form against torch's own convolution in a training step, by kernel and width of the flow.

Both take turns in one process. ``ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2
MKL_ENABLE_INSTRUCTIONS=AVX2`` holds a newer processor to the instructions of an older one.
"""

from __future__ import annotations

import json
import time
from statistics import median

import click
import torch
from rich.console import Console
from rich.table import Table

from edgeflow_export.models.convolution import winograd_pays
from edgeflow_export.models.multiflow import FlowShape, MultiFlow, nll_map
from edgeflow_export.models.view_graph import view_graph

WIDTHS = {
    "fast": (32, 16, 32, 8),
    "balanced": (64, 24, 32, 8),
    "full": (64, 32, 32, 8),
    "published": (304, 64, 24, 4),
}
"""Channels, hidden channels, side of the maps and parts of a batch."""
FORMS: dict[str, tuple[int, ...]] = {"direct": (), "winograd": (1, 3, 5)}


@click.command()
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--turns", type=click.IntRange(min=2), default=8, show_default=True)
@click.option("--json", "json_output", is_flag=True)
def main(threads: int, turns: int, json_output: bool) -> None:
    """CPU time of forward and backward of one coupling block, as a ratio to torch's own convolution."""
    torch.set_num_threads(threads)
    instructions = torch.backends.cpu.get_cpu_capability()
    table = Table("width", "kernel", "torch, ms", "Winograd, ratio", f"chosen on {instructions}")
    rows = []
    for width in WIDTHS:
        for kernel in (1, 3, 5):
            direct_ms, ratio = _measured(width, kernel, turns)
            chosen = "Winograd" if winograd_pays(kernel, instructions) else "torch"
            rows.append(
                {"width": width, "kernel": kernel, "direct_ms": direct_ms, "ratio": ratio, "chosen": chosen}
            )
            table.add_row(width, str(kernel), f"{direct_ms:.0f}", f"{ratio:.2f}", chosen)
    Console(stderr=json_output).print(table)
    if json_output:
        click.echo(json.dumps(rows))


def _measured(width: str, kernel: int, turns: int) -> tuple[float, float]:
    """Milliseconds of the direct form, and the median of the ratios of all turns but the first."""
    channels, hidden, side, parts = WIDTHS[width]
    torch.manual_seed(0)
    shape = FlowShape(
        channels=channels,
        hidden=hidden,
        kernels=(kernel,),
        clamp=1.9,
        conditioned=True,
        graph=view_graph("cs_neigh", 5),
    )
    flow = MultiFlow(shape).train()
    features, noise = torch.randn(parts, 5, channels, side, side), torch.randn(parts, 5, 1, side, side)
    spent: dict[str, list[float]] = {name: [] for name in FORMS}
    for _ in range(turns + 1):
        for name, kernels in FORMS.items():
            flow.winograd = kernels
            begun_s = time.process_time()
            nll_map(flow(features, noise)).mean().backward()  # type: ignore[no-untyped-call]
            spent[name].append(time.process_time() - begun_s)
    direct, winograd = spent["direct"][1:], spent["winograd"][1:]
    return 1e3 * median(direct), median(w / d for w, d in zip(winograd, direct, strict=True))


if __name__ == "__main__":
    main()
