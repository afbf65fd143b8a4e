"""Requests for a device: their defaults, and their way into a child process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeflow.backends.runner import DEFAULT_PLACEMENT, Placement


@pytest.mark.parametrize(
    "requested",
    [
        DEFAULT_PLACEMENT,
        Placement(device="AUTO:GPU,CPU", threads=3, streams=2, cache_dir=Path("/var/cache/graphs")),
    ],
)
def test_a_placement_is_the_same_on_both_sides_of_a_json_job(requested: Placement) -> None:
    assert Placement.from_json(json.loads(json.dumps(requested.to_json()))) == requested


def test_the_default_is_the_processor_with_all_cores_and_no_cache() -> None:
    assert Placement(device="CPU", threads=0, streams=1, cache_dir=None) == DEFAULT_PLACEMENT
