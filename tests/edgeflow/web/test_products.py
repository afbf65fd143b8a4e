"""The page of a box with several products: each can be chosen, and given another bundle."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from edgeflow.commands import control_socket
from edgeflow.commands.dispatcher import Answer
from edgeflow.config.box import load_config
from edgeflow.contracts.commands import Reply
from edgeflow.history.database.store import HistoryStore
from edgeflow.history.records import HistoryEntry
from edgeflow.monitoring.drift.monitor import state_path
from edgeflow.monitoring.drift.part import DriftState
from edgeflow.monitoring.drift.reference import Reference
from edgeflow.monitoring.drift.state import write_state
from edgeflow.monitoring.drift.view import ViewDrift
from edgeflow.run_time import read_boot
from edgeflow.web.app import make_app
from edgeflow.web.box_link import BoxLink
from edgeflow.web.settings import page_settings
from simulators.product_box import write_product_box
from simulators.results import SHA256, simulated_result
from tests.edgeflow.web.conftest import token


def test_the_list_of_parts_is_filtered_by_product_and_shows_its_drift(tmp_path: Path) -> None:
    config = load_config(write_product_box(tmp_path, 1, product="A"))
    boot = read_boot()
    config.history_path.parent.mkdir(parents=True, exist_ok=True)
    store = HistoryStore(config.history_path, boot)
    now = datetime.now(UTC)
    for number, (product, score) in enumerate([("A", 0.3), ("B", 0.8)] * 3):
        result = simulated_result(number, now, {"C1": score})
        result = result.model_copy(update={"product": product})
        store.write(
            [HistoryEntry(result=result, bundle_version=1, has_foreground=False, kept="verdict")], [], boot
        )
    store.close()
    reference = Reference(scores=tuple(np.linspace(0.7, 0.9, 201).tolist()), correlation=1.0)
    views = {"C1": ViewDrift(reference=reference)}
    state = DriftState(bundle=SHA256, graph="openvino-fp32", bound=0.3, views=views)
    write_state(state_path(config.drift_path, "B"), state)
    app = make_app(page_settings(config), BoxLink(config.control_socket))
    with TestClient(app, base_url="http://127.0.0.1:8088") as client:
        whole = client.get("/parts").text
        assert '<select name="product">' in whole
        assert '<option value="B">B</option>' in whole
        assert "Drift bounds are those of one product" in whole
        chosen = client.get("/parts?product=B&reason=defect").text
        assert '<option value="B" selected>B</option>' in chosen
        assert "Drift bounds are those of one product" not in chosen
        assert chosen.count('name="product"') == 1
        trend = client.get("/parts/trend?of=C1&product=B").json()
        assert trend["scores"] == [0.8] * 3
        assert 0.7 < trend["drift"]["low"] < 0.8 < trend["drift"]["high"] < 0.9
        assert client.get("/parts/trend?of=C1").json()["drift"] is None
        gone = client.get("/parts?product=gone").text
        assert '<option value="gone" selected>gone</option>' in gone


@pytest.mark.parametrize("by_trigger", [False, True])
def test_products_are_chosen_on_the_page_unless_triggers_name_them(tmp_path: Path, by_trigger: bool) -> None:
    changes = {"trigger": {"source": "mqtt", "product": "variant"}} if by_trigger else {"product": "A"}
    config = load_config(write_product_box(tmp_path, 1, **changes))
    asked: list[tuple[str, dict[str, str]]] = []

    def command(verb: str, arguments: dict[str, str], _who: str, _patience_s: float) -> Answer:
        asked.append((verb, dict(arguments)))
        reply = Reply(
            session="s",
            command_id=None,
            verb=verb,
            outcome="done",
            text="so be it",
            at="2026-01-01T00:00:00.0Z",
        )
        return Answer(reply=reply, exit_code=0)

    config.control_socket.parent.mkdir(parents=True)
    socket = control_socket.ControlSocket(config.control_socket, command, dict, lambda *_: None)
    socket.start()
    try:
        app = make_app(page_settings(config), BoxLink(config.control_socket))
        with TestClient(app, base_url="http://127.0.0.1:8088") as client:
            page = client.get("/line").text
            assert ('hx-post="/command/product"' in page) != by_trigger
            assert '<select name="product"' in page, "reload and rollback say of which product"
            for verb, form in (
                ("product", {"name": "B"}),
                ("reload", {"bundle": "a2.bundle", "product": "A"}),
                ("rollback", {"product": "A"}),
            ):
                answer = client.post(f"/command/{verb}", headers=token(client), data=form)
                assert "so be it" in answer.text
                assert asked.pop() == (verb, form)
    finally:
        socket.close()
