"""Tables for terminals of 80 columns and for pipes: no figure is ever cut."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

__all__ = ["make_table", "print_table"]


def make_table(*headings: str, right: Sequence[str] = (), title: str | None = None) -> Table:
    """A table whose headings stand above each other word by word, so that its figures have room.

    Args:
        right: headings of columns that end in line.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    for heading in headings:
        table.add_column(
            heading.replace(" ", "\n"), no_wrap=True, justify="right" if heading in right else "left"
        )
    return table


def print_table(console: Console, table: Table) -> None:
    """Print a table at its own width: a terminal that is too narrow wraps it, a pipe takes it whole.

    Cells are shown letter by letter; colour comes from cells that are ``rich.text.Text``.
    """
    # Names of parts and files may hold brackets, which must not be read as markup.
    wide = Console(file=console.file, force_terminal=console.is_terminal, highlight=False, markup=False)
    natural = Measurement.get(wide, wide.options.update(max_width=10_000), table).maximum
    wide.width = max(natural, console.width)
    wide.print(table)
