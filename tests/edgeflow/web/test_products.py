"""The page of a box with several products: each can be chosen, and given another bundle."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from edgeflow.commands import control_socket
from edgeflow.commands.dispatcher import Answer
from edgeflow.config.box import load_config
from edgeflow.contracts.commands import Reply
from edgeflow.web.app import make_app
from edgeflow.web.box_link import BoxLink
from edgeflow.web.settings import page_settings
from simulators.product_box import write_product_box
from tests.edgeflow.web.conftest import token


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
