"""What ``edgeflow train`` prints."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from edgeflow.output import print_json
from edgeflow_export.recipe import load_recipe
from edgeflow_export.training import train as run_training

__all__ = ["train"]


def train(recipe: Path, *, output: Path | None, restart: bool, device: str, json_output: bool) -> None:
    """Train a recipe's model; a second run goes on, or says that there is nothing to do."""
    loaded = load_recipe(recipe)
    folder = output or Path("runs") / loaded.name
    search_path = [recipe.resolve().parent]
    checkpoint = run_training(loaded, folder, resume=not restart, device=device, search_path=search_path)
    if json_output:
        print_json({"checkpoint": str(checkpoint)})
    else:
        Console(highlight=False, soft_wrap=True).print(
            f"next: edgeflow evaluate {checkpoint}  and  edgeflow export {checkpoint} -o {loaded.name}.bundle"
        )
