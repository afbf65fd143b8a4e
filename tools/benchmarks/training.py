"""Time and memory of a training step, against a flow written down view by view and edge by edge.

Both take turns, each turn in a process of its own, so that a busy machine hits both and peak memory is
theirs. First it is proven that they compute the same loss and gradients.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from edgeflow.diagnostics.peak_memory import own_peak_bytes
from edgeflow_export.models.convolution import winograd_pays
from edgeflow_export.models.multiflow import FlowShape, MultiFlow, nll_map
from edgeflow_export.models.plain_flow import PlainFlow
from edgeflow_export.models.view_graph import view_graph
from edgeflow_export.recipe import NoiseSpec, TrainingSpec
from edgeflow_export.training.flow import make_optimizer

# Largest differences allowed. Rounding decides on which side of ReLU's kink a few of the millions of
# activations fall, and each that falls on the other moves the gradients by 1e-4 of their norm.
ALLOWED = {"loss": 1e-5, "gradient": 2e-3, "worst_tensor": 1e-2}


@click.command()
@click.option("--parts", type=click.IntRange(min=1), default=8, show_default=True, help="In a batch.")
@click.option("--hidden", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--channels", type=click.IntRange(min=2), default=304, show_default=True)
@click.option("--side", type=click.IntRange(min=1), default=24, show_default=True, help="Of feature maps.")
@click.option("--graph", default="cs_neigh", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--steps", type=click.IntRange(min=1), default=2, show_default=True, help="Timed, per turn.")
@click.option("--turns", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--only", type=click.Choice(["plain", "ours", "same"]), hidden=True)
@click.option("--json", "json_output", is_flag=True)
def main(*, only: str | None, turns: int, json_output: bool, **options: Any) -> None:
    """Compare the product's training step with the straightforward one."""
    torch.set_num_threads(options["threads"])
    if only is not None:
        click.echo(json.dumps(_difference(options) if only == "same" else _turn(only, options)))
        return
    figures = {"same": _child("same", options)}
    runs: dict[str, list[dict[str, Any]]] = {"plain": [], "ours": []}
    for _ in range(turns):
        for name, done in runs.items():
            done.append(_child(name, options))
    for name, done in runs.items():
        times = sorted(second for run in done for second in run["step_s"])
        figures[name] = {"step_s": times[0], "peak_mb": float(np.median([run["peak_mb"] for run in done]))}
    ratio = {key: figures["ours"][key] / figures["plain"][key] for key in ("step_s", "peak_mb")}
    console = Console(stderr=json_output, highlight=False)
    console.print(
        f"training step, {options['parts']} parts, {options['threads']} threads: "
        f"{figures['ours']['step_s']:.2f} s against {figures['plain']['step_s']:.2f} s view by view: "
        f"ratio {ratio['step_s']:.2f}; peak memory {figures['ours']['peak_mb']:.0f} against "
        f"{figures['plain']['peak_mb']:.0f} MB: ratio {ratio['peak_mb']:.2f}; "
        f"loss and gradients differ by {figures['same']['loss']:.1g} and {figures['same']['gradient']:.1g}"
    )
    if json_output:
        click.echo(json.dumps({**figures, "ratio": ratio}))


def _child(name: str, options: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, __file__, "--only", name]
    command += [text for key, value in options.items() for text in (f"--{key}", str(value))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"the turn '{name}' failed; its message stands above")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _turn(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Seconds of every step after the first, and the process's peak memory in MB."""
    flow, features, noise = _setting(options, options["parts"])
    model, loss = _ours(flow, features, noise) if name == "ours" else _plain(flow, features, noise)
    del flow
    spec = TrainingSpec()
    if name == "ours":
        optimizer: torch.optim.Optimizer = make_optimizer(model.parameters(), spec)
    else:
        optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=spec.learning_rate,
            betas=spec.betas,
            eps=spec.eps,
            weight_decay=spec.weight_decay,
        )
    seconds = []
    for _ in range(1 + options["steps"]):
        start = time.perf_counter()
        optimizer.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    peak_mb = own_peak_bytes() / 1e6
    return {"step_s": seconds[1:], "peak_mb": peak_mb}


def _difference(options: dict[str, Any]) -> dict[str, float]:
    """Relative differences: of the loss; in norm, of all gradients together and of the worst tensor's."""
    flow, features, noise = _setting(options, parts=2)
    plain, plain_loss = _plain(flow, features, noise)
    _, our_loss = _ours(flow, features, noise)
    losses = (plain_loss(), our_loss())
    for loss in losses:
        loss.backward()  # type: ignore[no-untyped-call]
    expected = plain.gradients()
    got = {name: p.grad for name, p in flow.named_parameters() if p.grad is not None}
    if expected.keys() != got.keys():
        raise click.ClickException(f"gradients are missing: {', '.join(expected.keys() ^ got.keys())}")
    figures = {
        "loss": float(((losses[1] - losses[0]).abs() / losses[0].abs()).detach()),
        "gradient": float(_norm(got[n] - g for n, g in expected.items()) / _norm(expected.values())),
        "worst_tensor": max(float((got[n] - g).norm() / g.norm()) for n, g in expected.items()),
    }
    if not all(figure < ALLOWED[name] for name, figure in figures.items()):
        raise click.ClickException(f"the two flows do not compute the same: {figures}")
    return figures


def _norm(tensors: Iterable[Tensor]) -> Tensor:
    norms = torch.stack([torch.linalg.vector_norm(tensor) for tensor in tensors])
    norm: Tensor = torch.linalg.vector_norm(norms)
    return norm


Loss = Callable[[], Tensor]


def _ours(flow: MultiFlow, features: Tensor, noise: Tensor) -> tuple[MultiFlow, Loss]:
    condition = (noise * NoiseSpec().factor).expand(-1, features.shape[1], -1, -1, -1)
    return flow, lambda: nll_map(flow(features + noise, condition)).mean()


def _plain(flow: MultiFlow, features: Tensor, noise: Tensor) -> tuple[PlainFlow, Loss]:
    model = PlainFlow(flow)
    views = [(maps + noise[:, 0]).contiguous() for maps in features.unbind(1)]
    return model, lambda: model(views, noise[:, 0] * NoiseSpec().factor)


def _setting(options: dict[str, Any], parts: int) -> tuple[MultiFlow, Tensor, Tensor]:
    """A flow away from the identity, features (B, V, C, h, w) and noise (B, 1, 1, h, w)."""
    torch.manual_seed(0)
    shape = FlowShape(
        channels=options["channels"],
        hidden=options["hidden"],
        kernels=(3, 3, 3, 3, 3, 5),
        clamp=1.9,
        conditioned=True,
        graph=view_graph(options["graph"], 5),
    )
    flow = MultiFlow(shape).train()
    instructions = torch.backends.cpu.get_cpu_capability()
    flow.winograd = [kernel for kernel in shape.kernels if winograd_pays(kernel, instructions)]
    with torch.no_grad():
        for name, parameter in flow.named_parameters():
            if name.endswith("gamma"):
                parameter.uniform_(0.5, 1.0)
    side = options["side"]
    features = torch.randn(parts, 5, options["channels"], side, side)
    return flow, features, NoiseSpec().deviation * torch.randn(parts, 1, 1, side, side)


if __name__ == "__main__":
    main()
