"""The table of recipes: trained and exported where need be, measured from the bundles themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import compare_recipes
from tests.support import tiny as product
from tests.support.tiny import TinyProduct


def rows(recipe: Path, output: Path) -> list[dict[str, float | str]]:
    arguments = [str(recipe), "-o", str(output), "--repeat", "5", "--json"]
    with product.tests_on_path():
        done = CliRunner(env={"XDG_CACHE_HOME": str(output / "cache")}).invoke(
            compare_recipes.main, arguments, catch_exceptions=False
        )
    assert done.exit_code == 0, done.output
    found: list[dict[str, float | str]] = json.loads(done.stdout)
    return found


def test_a_recipe_is_trained_exported_and_measured_and_the_second_time_only_measured(
    tiny: TinyProduct, tmp_path: Path
) -> None:
    recipe = tmp_path / "disc.yaml"
    recipe.write_text(tiny.recipe.read_text().replace("missing_views: 1", "missing_views: 0"))
    first = rows(recipe, tmp_path / "runs")
    bundle = tmp_path / "runs" / "disc" / "disc.bundle"
    written_ns = bundle.stat().st_mtime_ns
    again = rows(recipe, tmp_path / "runs")
    assert bundle.stat().st_mtime_ns == written_ns
    assert [row["graph"] for row in first] == [row["graph"] for row in again]
    by_graph = {str(row["graph"]): row for row in first}
    assert set(by_graph) > {"openvino-fp32", "openvino-int8"}
    for graph, row in by_graph.items():
        assert row["p50_ms"] > 0
        assert row["bundle_mb"] == pytest.approx(bundle.stat().st_size / 1e6)
        if graph.endswith("fp32"):
            assert row["flips"] == 0
            assert row["worst_map"] < 1e-4
            assert row["speedup"] == 1.0
        else:
            assert 1e-4 < row["worst_map"] < 1
    for figure in ("part_auroc", "view_auroc", "flips"):
        assert (
            by_graph["openvino-int8"][figure] == {str(r["graph"]): r for r in again}["openvino-int8"][figure]
        )
