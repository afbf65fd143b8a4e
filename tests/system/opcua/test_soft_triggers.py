"""Triggers that an OPC UA client (node-opcua) gives to a box whose triggers come by MQTT."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from simulators.opcua_client import install_node_opcua
from simulators.small_box import ROOT, write_box
from tests.support.brokers import Broker
from tests.support.opcua import AUTOMATIC, OWN, Served, call, serving, text, until


@pytest.fixture
def served(repository: Path, tmp_path: Path, broker: Broker) -> Iterator[Served]:
    try:
        node = install_node_opcua(repository / "runs" / "npm-opcua")
    except RuntimeError as cause:
        pytest.skip(str(cause))
    box = write_box(
        tmp_path,
        broker.port,
        trigger={"source": "mqtt", "period_ms": None},
        opcua={"listen": "127.0.0.1:0"},
    )
    with serving(box, node) as made:
        yield made


def single_job(meas: str, part: str) -> dict[str, Any]:
    """``StartSingleJob`` with a measurement's and a part's id."""
    ids = [
        {"structure": "ns=2;i=3015", "value": {"id": meas}},
        {"structure": "ns=2;i=3004", "value": {"id": part}},
        {"structure": "ns=2;i=3002"},
        {"structure": "ns=2;i=3003"},
    ]
    return call(AUTOMATIC, "StartSingleJob", *ids, {"type": "Variant", "value": []})


def test_an_operator_triggers_parts_and_finds_them_by_their_ids(
    served: Served, client: Callable[[str], Any], broker: Broker
) -> None:
    decisions = client(f"{ROOT}/decision")
    denied = served.answers(call(OWN, "Trigger", text("t-0"), text("p-0"), text("")))
    assert denied[0]["status"] == "BadUserAccessDenied"
    ready, first, again, second, made, product = served.answers(
        until("ContinuousExecution"),
        call(OWN, "Trigger", text("t-1"), text("p-1"), text("")),
        call(OWN, "Trigger", text("t-1"), text("p-1"), text("")),
        single_job("t-2", "p-2"),
        call(OWN, "Trigger", text(""), text("p-3"), text("")),
        call(OWN, "Trigger", text("t-4"), text("p-4"), text("A")),
        user="olga",
    )
    assert ready is True
    assert first["outputs"] == [True, "t-1"]
    assert again["outputs"] == [True, "t-1"]  # the box knows it for the same trigger
    assert second["outputs"][1] == 0
    assert made["outputs"][0] is True
    assert product["outputs"][0] is False
    assert "trigger.product" in product["outputs"][1]
    decisions.wait(lambda: len(decisions.payloads("decision")) >= 3)
    found = [json.loads(one) for one in decisions.payloads("decision")]
    assert sorted((one["trigger_id"], one["part_id"]) for one in found) == sorted(
        [("t-1", "p-1"), ("t-2", "p-2"), (made["outputs"][1], "p-3")]
    )
    assert {one["context"]["opcua_user"] for one in found} == {"olga"}
    assert second["outputs"][0]["id"] == found[0]["session"]


def test_without_broker_or_while_stopped_a_trigger_is_refused_in_words(
    served: Served, broker: Broker
) -> None:
    _, stopped, ready, refused, job = served.answers(
        until("ContinuousExecution"),
        call(OWN, "Stop"),
        until("Ready"),
        call(OWN, "Trigger", text("t-1"), text(""), text("")),
        single_job("t-2", ""),
        user="olga",
    )
    assert stopped["outputs"][0] is True
    assert ready is True
    assert refused["outputs"][0] is False
    assert "inspects no parts now" in refused["outputs"][1]
    assert job["outputs"][1] == 2
    broker.kill()
    served.answers(call(OWN, "Start"), until("ContinuousExecution"), user="olga")
    end_s = time.monotonic() + 60
    while True:
        (away,) = served.answers(call(OWN, "Trigger", text("t-3"), text(""), text("")), user="olga")
        if "no connection to the broker" in away["outputs"][1]:
            break
        assert time.monotonic() < end_s, away
    assert away["outputs"][0] is False
