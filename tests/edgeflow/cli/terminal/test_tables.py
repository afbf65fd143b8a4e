"""Tables as they come out of a pipe or a terminal of 80 columns."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from edgeflow.cli.terminal.tables import make_table, print_table


@pytest.mark.parametrize(("width", "terminal"), [(80, False), (80, True), (40, True), (200, True)])
def test_no_figure_and_no_heading_is_ever_cut(width: int, terminal: bool) -> None:
    headings = ("graph", "size", "map error", "allowed", "verdict flips", "part AUROC (fp32)")
    table = make_table(*headings, right=("size",), title="one graph")
    row = ("onnxruntime-fp32", "12.34 MB", "6.8e-07", "0.0001", "12 of 1234", "0.9876 (0.9877)")
    table.add_row(*row)
    out = io.StringIO()
    print_table(Console(file=out, width=width, force_terminal=terminal, highlight=False), table)
    printed = out.getvalue()
    assert "…" not in printed
    for cell in row:
        assert cell in printed
    for word in " ".join(headings).split():
        assert word in printed
    if width >= 80:
        plain = [line for line in printed.splitlines() if "onnxruntime" in line]
        assert max(len(line.rstrip()) for line in plain) <= 80


def test_brackets_in_a_name_are_shown_and_end_no_table() -> None:
    table = make_table("part", "verdict")
    names = ("[bold]a", "test/b[/zz]", "x[1]", "[/]")
    for name in names:
        table.add_row(name, Text("NG", style="red"))
    out = io.StringIO()
    print_table(Console(file=out, width=80), table)
    assert [line.split()[0] for line in out.getvalue().splitlines() if "NG" in line] == list(names)


def test_colour_of_a_cell_reaches_a_terminal() -> None:
    table = make_table("verdict")
    table.add_row(Text("NG", style="red"))
    out = io.StringIO()
    print_table(Console(file=out, width=80, force_terminal=True, color_system="standard"), table)
    assert "\x1b[31mNG" in out.getvalue()
