"""What ``edgeflow train`` and ``edgeflow evaluate`` print."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from edgeflow.errors import StorageError
from edgeflow.output import print_json
from edgeflow_export.evaluation import evaluate as measure
from edgeflow_export.evaluation import report_table
from edgeflow_export.evaluation_plots import save_plots
from edgeflow_export.recipe import load_recipe
from edgeflow_export.training import train as run_training

__all__ = ["evaluate", "train"]


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


def evaluate(checkpoint: Path, *, parts: Path | None, output: Path | None, json_output: bool) -> None:
    """Measure a checkpoint; the report as JSON and pictures go to a folder."""
    report = measure(checkpoint, root=parts)
    folder = output or checkpoint.parent / "evaluation"
    pictures = save_plots(report, folder)
    target = folder / "report.json"
    try:
        target.write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    except OSError as cause:
        raise StorageError(f"{target}: cannot be written: {cause.strerror}; give another --output") from cause
    if json_output:
        print_json(report.model_dump(mode="json"))
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(report_table(report))
    console.print(f"written: {target}, {', '.join(str(picture) for picture in pictures)}")
