"""``edgeflow train``: trains one model per neighbour graph, and prints the next command."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from edgeflow.cli.output import print_json
from edgeflow_export.distributed import joined
from edgeflow_export.models.view_graph import GRAPHS
from edgeflow_export.recipe import load_recipe, with_graph
from edgeflow_export.training.train import train as run_training

__all__ = ["train"]


def train(
    recipe: Path,
    *,
    output: Path | None,
    restart: bool,
    device: str,
    graphs: tuple[str, ...] = (),
    tensorboard: Path | None = None,
    json_output: bool,
) -> None:
    """Train a recipe's model; a second run goes on, or says that there is nothing to do.

    Args:
        tensorboard: folder for TensorBoard's files.
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
                tensorboard=None if tensorboard is None else tensorboard / target.name,
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
    Console(highlight=False, soft_wrap=True, markup=False).print(
        f"next: edgeflow evaluate {' '.join([first, *others])}{export}"
    )
