"""The rule that chooses between forms reads shapes alone."""

from __future__ import annotations

import pytest

from edgeflow_export.conversion.rewriting.forms import (
    GraphForms,
    PermutationForm,
    SecondForm,
    permutation_form,
    second_form,
)
from edgeflow_export.models.multiflow import FlowShape
from edgeflow_export.models.view_graph import view_graph


def shape(*, channels: int = 32, hidden: int = 16, graph: str = "cs_neigh", views: int = 5) -> FlowShape:
    return FlowShape(
        channels=channels,
        hidden=hidden,
        kernels=(3,),
        clamp=1.9,
        conditioned=True,
        graph=view_graph(graph, views),
    )


@pytest.mark.parametrize(
    ("given", "kernel", "expected"),
    [
        (shape(), 1, "dense"),
        (shape(), 3, "dense"),
        (shape(views=1), 5, "dense"),
        (shape(channels=304, hidden=64), 3, "per receiver"),
        (shape(channels=304, hidden=64), 5, "per receiver"),
        (shape(graph="cs_seperated", views=12), 3, "per receiver"),
        (shape(graph="cs_att_cross"), 1, "per receiver"),
    ],
)
def test_zeros_are_multiplied_where_that_costs_less_than_moving(
    given: FlowShape, kernel: int, expected: SecondForm
) -> None:
    assert second_form(given, kernel) == expected


@pytest.mark.parametrize(("views", "expected"), [(1, "dense"), (2, "per view"), (12, "per view")])
def test_permutations_of_several_views_go_view_by_view(views: int, expected: PermutationForm) -> None:
    assert permutation_form(views) == expected


def test_the_record_names_blocks_only_where_they_differ() -> None:
    same = GraphForms(second=("dense", "dense"), permutation="dense", stem="")
    assert same.described() == "second convolutions: dense; permutations: dense; stem: takes 8-bit images"
    mixed = GraphForms(second=("dense", "per receiver"), permutation="per view", stem="no convolution first")
    assert mixed.described() == (
        "second convolutions: dense in block 1, per receiver in block 2; permutations: per view; "
        "stem: no convolution first"
    )
