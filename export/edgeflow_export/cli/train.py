"""``edgeflow train``: trains one model, one per neighbour graph, or both heads to compare them."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from edgeflow.cli.terminal.output import print_json
from edgeflow.cli.terminal.tables import make_table, print_table
from edgeflow.errors import UsageError
from edgeflow_export.data.dataset import load_dataset, require_test_parts
from edgeflow_export.data.views_sheet import VIEWS_SHEET, write_views_sheet
from edgeflow_export.distributed import joined
from edgeflow_export.evaluation.evaluate import evaluate as measure
from edgeflow_export.evaluation.head_comparison import HeadComparison, HeadFigures, compare_heads
from edgeflow_export.models.view_graph import GRAPHS
from edgeflow_export.recipe import ModelKind, Recipe, load_recipe, with_graph, with_model
from edgeflow_export.training.train import train as run_training

__all__ = ["heads_table", "train"]

HEADS: tuple[ModelKind, ModelKind] = ("multi_flow", "patch_memory")
_FIGURES = {
    "view AUROC": "view_auroc",
    "pixel AUROC": "pixel_auroc",
    "AUPRO": "aupro",
    "recall at its threshold": "recall",
    "false rejects there": "false_reject_rate",
}


def train(
    recipe: Path,
    *,
    output: Path | None,
    restart: bool,
    device: str,
    graphs: tuple[str, ...] = (),
    compare: bool = False,
    tensorboard: Path | None = None,
    show_views: bool = False,
    json_output: bool,
) -> None:
    """Train a recipe's model; a second run goes on, or says that there is nothing to do.

    Args:
        compare: train both heads on the same features and measure them on the test parts.
        tensorboard: folder for TensorBoard's files.
        show_views: draw what the network will see, and do not train.
        graphs: train one model per neighbour graph, each into a folder of its own; ``all`` for every one.

    Raises:
        UsageError: both ``graphs`` and ``compare``.
        DataError: nothing to compare on.
    """
    loaded = load_recipe(recipe)
    folder = output or Path("runs") / loaded.name
    if show_views:
        _show_views(loaded, folder, json_output=json_output)
        return
    folders = {folder: loaded}
    if graphs and compare:
        raise UsageError(
            "--compare trains both models on one neighbour graph; name it in the recipe (flow.graph)"
        )
    if graphs:
        folders = {folder / name: with_graph(loaded, name) for name in _graph_names(graphs)}
    if compare:
        require_test_parts(load_dataset(loaded))
        folders = {folder / name: with_model(loaded, name) for name in HEADS}
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
        if processes.first and compare:
            found = _compared(checkpoints, recipe.resolve().parent, processes.device)
            _show_comparison(found, loaded.name, json_output=json_output)
        elif processes.first:
            _show(checkpoints, loaded.name, json_output=json_output)


def _show_views(recipe: Recipe, folder: Path, *, json_output: bool) -> None:
    path = folder / VIEWS_SHEET
    write_views_sheet(load_dataset(recipe), path)
    if json_output:
        print_json({"views": str(path)})
        return
    Console(highlight=False, soft_wrap=True, markup=False).print(f"{path}: what the network will see")


def _compared(checkpoints: list[Path], search_path: Path, device: str) -> HeadComparison:
    first, second = (
        measure(checkpoint, device=device, search_path=[search_path]).report for checkpoint in checkpoints
    )
    return compare_heads(HEADS, (first, second))


def _show_comparison(found: HeadComparison, name: str, *, json_output: bool) -> None:
    if json_output:
        print_json(found.model_dump(mode="json"))
        return
    console = Console(highlight=False, markup=False)
    print_table(console, heads_table(found))
    low, high = found.difference_interval
    console.print(
        f"part AUROC, {HEADS[0]} less {HEADS[1]}: {found.difference:+.3f} [{low:+.3f}, {high:+.3f}]"
    )
    console.print(found.statement)
    console.print("[ ]: 95 % of bootstrap draws over the test parts, the same for both", style="dim")
    chosen = next((head for head in found.heads if head.model == found.better), found.heads[0])
    console.print(f"next: edgeflow export {chosen.checkpoint} -o {name}.bundle", soft_wrap=True)


def heads_table(found: HeadComparison) -> Table:
    """Both heads for a terminal, a figure in each row."""
    names = [head.model for head in found.heads]
    title = f"the same features of {found.parts} test parts, {found.defective_parts} defective"
    table = make_table("", *names, right=names, title=title)
    table.add_row("part AUROC", *(_with_interval(head) for head in found.heads))
    for label, key in _FIGURES.items():
        values = [getattr(head, key) for head in found.heads]
        table.add_row(label, *("–" if value is None else f"{value:.3f}" for value in values))
    return table


def _with_interval(head: HeadFigures) -> str:
    low, high = head.part_auroc_interval
    return f"{head.part_auroc:.3f} [{low:.3f}, {high:.3f}]"


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
