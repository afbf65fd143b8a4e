"""What ``edgeflow train`` and ``edgeflow evaluate`` print."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from edgeflow.errors import StorageError
from edgeflow.output import print_json
from edgeflow_export.evaluation import evaluate as measure
from edgeflow_export.evaluation import report_table
from edgeflow_export.evaluation_plots import save_plots
from edgeflow_export.models.view_graph import GRAPHS
from edgeflow_export.processes import joined
from edgeflow_export.recipe import load_recipe, with_graph
from edgeflow_export.training import train as run_training

__all__ = ["evaluate", "train"]


def train(
    recipe: Path,
    *,
    output: Path | None,
    restart: bool,
    device: str,
    graphs: tuple[str, ...] = (),
    json_output: bool,
) -> None:
    """Train a recipe's model; a second run goes on, or says that there is nothing to do.

    Args:
        graphs: train one model per neighbour graph, each into a folder of its own; ``all`` for every one.
    """
    loaded = load_recipe(recipe)
    folder = output or Path("runs") / loaded.name
    folders = {folder: loaded}
    if graphs:
        folders = {folder / name: with_graph(loaded, name) for name in _graph_names(graphs)}
    with joined(device) as processes:
        checkpoints = [
            run_training(
                own,
                target,
                resume=not restart,
                processes=processes,
                search_path=[recipe.resolve().parent],
                extractor_folder=folder,
            )
            for target, own in folders.items()
        ]
        if processes.first:
            _show(checkpoints, loaded.name, json_output=json_output)


def _graph_names(graphs: tuple[str, ...]) -> list[str]:
    return list(dict.fromkeys(name for given in graphs for name in (GRAPHS if given == "all" else (given,))))


def _show(checkpoints: list[Path], name: str, *, json_output: bool) -> None:
    first, *others = (str(checkpoint) for checkpoint in checkpoints)
    if json_output:
        print_json({"checkpoint": first} if not others else {"checkpoints": [first, *others]})
        return
    export = "" if others else f"  and  edgeflow export {first} -o {name}.bundle"
    Console(highlight=False, soft_wrap=True).print(
        f"next: edgeflow evaluate {' '.join([first, *others])}{export}"
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
