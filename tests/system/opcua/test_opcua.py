"""A box's OPC UA server as an independent client (node-opcua) finds it: all it serves, and all it refuses."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives import serialization

from edgeflow.config.box import load_config
from edgeflow.opcua.clients.trust_list import trust_refused
from simulators.opcua_client import (
    CLIENT_URI,
    Authority,
    client_certificate,
    install_node_opcua,
)
from simulators.small_box import write_box
from tests.support.opcua import (
    AUTOMATIC,
    NONE,
    OWN,
    PASSWORD,
    VISION,
    Served,
    call,
    edgeflow,
    listing,
    number,
    read,
    serving,
    until,
)  # fmt: skip


@pytest.fixture(scope="module")
def served(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    try:
        node = install_node_opcua(repository / "runs" / "npm-opcua")
    except RuntimeError as cause:
        pytest.skip(str(cause))
    folder = tmp_path_factory.mktemp("opcua")
    box = write_box(folder, 1, opcua={"listen": "127.0.0.1:0", "results": 500})
    client_certificate(folder, "stranger")
    client_certificate(folder, "ended", valid=-dt.timedelta(days=1))
    trust_refused(load_config(box).opcua_path, str(folder / "ended.pem"))
    with serving(box, node) as made:
        yield made


def test_a_viewer_finds_the_vision_system_its_state_and_the_latest_decision(served: Served) -> None:
    shown = [f"{OWN}.{name}" for name in ("Verdict", "VerdictNumber", "Ready")]
    machine = [f"{VISION}.VisionStateMachine", AUTOMATIC]
    page = [number("Int32", 2), number("UInt32", 0), number("UInt32", 0), number("Int32", 0)]
    names, system, _, now, changes, listed, recipes = served.answers(
        {"do": "namespaces"},
        {"do": "browse", "node": VISION},
        until("ContinuousExecution"),
        read(*shown, *(f"{node}.CurrentState" for node in machine), f"{AUTOMATIC}.CurrentState.Id"),
        {"do": "subscribe", "nodes": [f"{OWN}.Sequence"], "interval_ms": 1, "seconds": 2},
        call(f"{VISION}.ResultManagement", "GetResultListFiltered", *listing(2)),
        call(f"{VISION}.RecipeManagement", "GetRecipeListFiltered", NONE, NONE, *page),
    )
    assert names[2:] == ["http://opcfoundation.org/UA/MachineVision", "urn:edgeflow:inspection"]
    assert [name for name, _ in system] == [
        "2:VisionStateMachine",
        "2:RecipeManagement",
        "2:ResultManagement",
    ]
    assert [one["status"] for one in now] == ["Good"] * 6
    state = ["Operational", "ContinuousExecution", "ns=2;i=5059"]
    assert [one["value"] for one in now] == ["OK", 1, True, *state]
    numbers = [value for _, _, value, _ in changes]
    assert len(numbers) >= 5
    assert numbers == sorted(set(numbers))
    complete, count, _, results, error = listed["outputs"]
    assert (complete, count, error) == (False, 2, 0)
    newest = results[0]
    assert newest["resultId"]["id"] > results[1]["resultId"]["id"]
    assert newest["resultState"] == 1
    assert newest["partId"]["id"].startswith("part")
    assert newest["internalRecipeId"]["hashAlgorithm"] == "SHA-256"
    assert newest["processingTimes"]["startTime"] <= newest["processingTimes"]["endTime"]
    verdict, code, _, score, whole = newest["resultContent"]
    assert (verdict, code) == ("OK", "ok")
    assert json.loads(whole)["score"] == score
    assert [recipe["id"] for recipe in recipes["outputs"][3]] == ["bracket"]


def test_every_result_is_an_event_and_can_be_asked_for(served: Served) -> None:
    """Events of the vision system are those of the server, too, where most clients look for them."""
    wanted = {"fields": ["EventType", "SourceName", "2:ResultState", "2:ResultContent"], "interval_ms": 10}
    own, servers = served.answers(
        {"do": "events", "node": VISION, "seconds": 3, **wanted},
        {"do": "events", "node": "i=2253", "seconds": 3, **wanted},
    )
    assert len(own) >= 2
    assert len(servers) >= 2
    for _, (kind, source, state, content) in (*own, *servers):
        assert (kind, source, state, content[0]) == ("ns=2;i=1024", "VisionSystem", 1, "OK")
    result = json.loads(servers[-1][1][3][4])
    by_id = {"structure": "ns=2;i=3021", "value": {"id": result["result_id"]}}
    unknown = {"structure": "ns=2;i=3021", "value": {"id": "none"}}
    place, timeout = f"{VISION}.ResultManagement", number("Int32", 0)
    found, parts, none = served.answers(
        call(place, "GetResultById", by_id, timeout),
        call(place, "GetResultComponentsById", by_id, timeout),
        call(place, "GetResultById", unknown, timeout),
    )
    assert found["outputs"][1]["resultId"]["id"] == result["result_id"]
    assert found["outputs"][1]["partId"]["id"] == result["part_id"]
    assert found["outputs"][2] == 0
    assert len(parts["outputs"]) == 17
    assert parts["outputs"][6]["id"] == result["part_id"]
    assert none["outputs"][2] == 1


def test_only_an_operator_starts_stops_and_chooses_and_the_box_records_who(served: Served) -> None:
    denied = served.answers(
        call(OWN, "Stop"),
        call(AUTOMATIC, "Stop", {"type": "Int32", "value": 0}, {"type": "String", "value": ""}),
        call(OWN, "SelectProduct", {"type": "String", "value": "A"}),
        {"do": "write", "node": f"{OWN}.Verdict", "type": "String", "value": "OK"},
    )
    assert [answer["status"] for answer in denied[:3]] == ["BadUserAccessDenied"] * 3
    assert denied[3] == "BadUserAccessDenied"
    state = read(f"{AUTOMATIC}.CurrentState")
    nothing = {"type": "String", "value": ""}
    stopped, _, ready, started, _, runs, product, recipe, halt = served.answers(
        call(OWN, "Stop"), until("Ready"), state,
        call(AUTOMATIC, "StartContinuous", *[NONE] * 4, nothing), until("ContinuousExecution"), state,
        call(OWN, "SelectProduct", {"type": "String", "value": "A"}),
        call(
            f"{VISION}.RecipeManagement", "PrepareRecipe",
            {"structure": "ns=2;i=3002", "value": {"id": "A"}}, {"structure": "ns=2;i=3013"},
        ),
        call(f"{VISION}.VisionStateMachine", "Halt", {"type": "Int32", "value": 0}, nothing),
        user="olga", policy="Aes256_Sha256_RsaPss",
    )  # fmt: skip
    assert stopped["outputs"][0] is True
    assert ready[0]["value"] == "Ready"
    assert started["outputs"][1] == 0
    assert runs[0]["value"] == "ContinuousExecution"
    assert product["outputs"][0] is False
    assert "products" in product["outputs"][1]
    assert recipe["outputs"][1:] == [False, 2]
    assert halt["status"] == "BadNotSupported"
    audit = (served.box.parent / "state" / "audit.jsonl").read_text()
    assert "for user 'olga'" in audit
    assert "for user 'vera'" not in audit


def test_an_unknown_certificate_is_refused_and_kept_until_somebody_trusts_it(served: Served) -> None:
    state = read(f"{OWN}.Connected")
    assert "BadCertificateUntrusted" in served.refusal(state, name="stranger")
    kept = list((served.folder / "refused").glob("stranger-*.der"))
    assert len(kept) == 1
    print_ = kept[0].stem.rpartition("-")[2]
    assert f"--trust {print_[:8]}" in served.log.read_text()
    done = edgeflow("opcua", str(served.box), "--trust", print_[:8])
    assert done.returncode == 0, done.stderr
    assert list((served.folder / "refused").glob("stranger-*.der")) == []
    assert served.answers(state, name="stranger")[0][0]["value"] is True


def test_ended_certificates_wrong_users_and_open_connections_are_refused(served: Served) -> None:
    state = read(f"{OWN}.Connected")
    assert "BadCertificateTimeInvalid" in served.refusal(state, name="ended")
    assert "is refused: its certificate" in served.log.read_text()
    assert "BadUserAccessDenied" in served.refusal(state, user="nobody")
    assert "BadUserAccessDenied" in served.refusal(state, password="wrong-wrong")  # noqa: S106
    assert "user 'nobody': unknown, or a wrong password" in served.log.read_text()
    assert served.refusal(state, user=None)  # no anonymous endpoint is offered
    assert served.refusal(state, mode="None", policy="None")
    assert (served.folder / "own" / "server.key.pem").stat().st_mode & 0o077 == 0


def test_a_session_that_nobody_logged_in_to_reads_nothing(served: Served) -> None:
    """asyncua serves requests of a session before its activation, and on connections without security."""
    from asyncua import Client, ua

    async def attack() -> list[str]:
        client = Client(served.address)
        await client.connect_socket()
        seen = []
        try:
            await client.send_hello()
            await client.open_secure_channel()
            with suppress(ua.UaError):  # the server makes it, and the client finds no such endpoint
                await client.create_session()
            for node in ("ns=3;s=Inspection.Verdict", "i=2253"):
                try:
                    await client.get_node(node).read_browse_name()
                    seen.append("read")
                except ua.UaStatusCodeError as refused:
                    seen.append(type(refused).__name__)
            try:
                await client.get_node("ns=3;s=Inspection").call_method("ns=3;s=Inspection.Stop")
                seen.append("called")
            except ua.UaStatusCodeError as refused:
                seen.append(type(refused).__name__)
        finally:
            client.disconnect_socket()
        return seen

    assert asyncio.run(attack()) == ["BadSessionNotActivated"] * 3


def test_a_trusted_client_gets_its_share_and_touches_nobody_elses(served: Served) -> None:
    """asyncua lets any session use any other's subscriptions, and has no bound for one session."""
    from asyncua import Client, ua
    from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256 as Policy

    async def connected() -> Client:
        client = Client(served.address)
        client.application_uri = CLIENT_URI
        client.set_user("vera")
        client.set_password(PASSWORD)
        folder = served.box.parent
        own = served.folder / "own" / "server.der"
        await client.set_security(
            Policy, str(folder / "known.pem"), str(folder / "known.key.pem"), server_certificate=own
        )
        await client.connect()
        return client

    async def refused(work: Any) -> str:
        try:
            answer = await work
        except ua.UaStatusCodeError as error:
            return type(error).__name__
        return str(answer)

    async def attack() -> list[str]:
        first, second = await connected(), await connected()
        try:
            handler = type("Handler", (), {"datachange_notification": lambda *_: None})()
            many = [await first.create_subscription(500, handler) for _ in range(5)]
            seen = [await refused(first.create_subscription(500, handler))]
            fast = many[0].parameters.RequestedPublishingInterval
            other = many[0].subscription_id
            uses = second.uaclient
            seen += [await refused(uses.delete_subscriptions([other]))]
            seen += [await refused(uses.transfer_subscriptions(ua.TransferSubscriptionsParameters([other])))]
            node = first.get_node("ns=3;s=Inspection.Verdict")
            seen += [await refused(many[1].subscribe_data_change([node] * 501))]
            assert fast == 500
            return seen
        finally:
            await first.disconnect()
            await second.disconnect()

    assert asyncio.run(attack()) == [
        "BadTooManySubscriptions",
        "BadSubscriptionIdInvalid",
        "BadServiceUnsupported",
        "BadTooManyMonitoredItems",
    ]


def test_clients_that_never_read_or_stand_still_disturb_nobody(served: Served) -> None:
    nodes = [f"{OWN}.{name}" for name in ("Verdict", "Sequence", "PartId", "ResultId", "Heartbeat", "State")]
    job = served.job({"do": "subscribe", "nodes": nodes, "interval_ms": 10, "seconds": 120})
    address = urlsplit(served.address)
    still = served.node.start(job)
    flood = socket.create_connection((address.hostname or "", address.port or 0))
    try:
        assert still.stdout is not None
        while '"subscribed"' not in still.stdout.readline():
            assert still.poll() is None
        os.kill(still.pid, signal.SIGSTOP)
        assert is_cut(flood)
        (changes,) = served.answers(
            {"do": "subscribe", "nodes": [f"{OWN}.Sequence"], "interval_ms": 10, "seconds": 3}
        )
        numbers = [value for _, _, value, _ in changes]
        assert len(numbers) >= 8
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        memory_kb = Path(f"/proc/{served.server.pid}/status").read_text().split("VmRSS:")[1].split()[0]
        assert int(memory_kb) < 400_000
    finally:
        flood.close()
        os.kill(still.pid, signal.SIGKILL)
        still.wait()
        if still.stdout is not None:
            still.stdout.close()


def is_cut(flood: socket.socket) -> bool:
    """Return True once the server ends a connection that greets it again and again and reads no answer."""
    url = b"opc.tcp://x"
    body = struct.pack("<IIIIIi", 0, 65535, 65535, 0, 0, len(url)) + url
    hello = b"HELF" + struct.pack("<I", 8 + len(body)) + body
    flood.settimeout(2)
    end_s = time.monotonic() + 60
    while time.monotonic() < end_s:
        try:
            flood.sendall(hello * 500)
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


def test_a_client_that_its_authority_revokes_is_cut_and_refused(served: Served) -> None:
    authority, folder = Authority("plant"), served.box.parent
    client = authority.client("signed", folder)
    trusted = served.folder / "trusted" / "plant.der"
    trusted.write_bytes(authority.certificate.public_bytes(serialization.Encoding.DER))
    job = served.job(
        {"do": "subscribe", "nodes": [f"{OWN}.Sequence"], "interval_ms": 50, "seconds": 300}, name="signed"
    )
    connected = served.node.start(job)
    try:
        assert connected.stdout is not None
        while '"subscribed"' not in (line := connected.stdout.readline()):
            assert line, served.log.read_text()
        revoked = authority.revoked(client).public_bytes(serialization.Encoding.DER)
        (served.folder / "crl" / "plant.crl").write_bytes(revoked)
        end_s = time.monotonic() + 60
        while "is cut: its certificate is not accepted any more" not in served.log.read_text():
            assert time.monotonic() < end_s
            time.sleep(0.2)
    finally:
        connected.kill()
        connected.wait()
        if connected.stdout is not None:
            connected.stdout.close()
    assert "BadCertificateRevoked" in served.refusal(read(f"{OWN}.Verdict"), name="signed")
    assert served.answers(read(f"{OWN}.Connected"))[0][0]["value"] is True


def test_a_box_that_is_killed_has_no_verdict_any_more(served: Served) -> None:
    """The last test of this file: it ends the box."""
    own = [f"{OWN}.{name}" for name in ("Verdict", "VerdictNumber", "Ready")]
    machine = [f"{node}.CurrentState" for node in (f"{VISION}.VisionStateMachine", AUTOMATIC)]
    os.kill(served.process.pid, signal.SIGKILL)
    served.process.wait(120)
    (now,) = served.answers(read(*own, *machine))
    assert [(one["value"], one["status"]) for one in now] == [
        (None, "BadNoCommunication"),
        (0, "Good"),
        (False, "Good"),
        ("Error", "Good"),
        (None, "BadStateNotActive"),
    ]
    (answer,) = served.answers(call(OWN, "Start"), user="olga")
    assert answer["outputs"][0] is False
    assert "no box runs there" in answer["outputs"][1]
