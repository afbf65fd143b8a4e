"""The broker looked at: by the running box where there is one, else by a login of one's own."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from edgeflow.commands.control_socket import ask
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.topics import Topics
from edgeflow.diagnostics.broker_trial import Trial, try_broker
from edgeflow.diagnostics.findings import Finding, failed, failures, ok, warning
from edgeflow.errors import EdgeflowError, HardwareError
from edgeflow.mqtt.broker.answers import Settings, rights_refusal
from edgeflow.mqtt.client import check_files, connect_failure, new_client
from edgeflow.security.shared_secrets import read_secret

__all__ = ["broker_findings"]

_SETTINGS = Settings(
    address="mqtt.host and mqtt.port",
    credentials="mqtt.username and mqtt.password_file (or password_env)",
    tls="mqtt.tls, mqtt.host (the name in the certificate) and mqtt.port",
    client_id="mqtt.client_id",
    version="mqtt.version",
)
_REACH_S = 5.0
_REFUSED_FIRST = 0x80
_SMALL_PACKET = 16_384  # an NG result of eight views with many regions has a few kB
_NAME = "broker"


def broker_findings(config: BoxConfig, *, publish: bool = False) -> Iterator[Finding]:
    """Rights of this box at the broker. A running box is never disturbed: it reports what it knows.

    Args:
        publish: try also whether the box may publish, with messages that are no decision (without a
            running box).
    """
    problems = list(_unusable(config))
    yield from problems
    if problems:
        yield from _reached(config)
        return
    running = _ask(config)
    if isinstance(running, Finding):
        yield running
    elif running is not None and _is_same(running, config):
        yield from _from_running(running)
    else:
        yield from _from_trial(config, publish=publish)


def _unusable(config: BoxConfig) -> Iterator[Finding]:
    try:
        check_files(config.mqtt)
        new_client(config.mqtt, "check")
        read_secret(config.mqtt.seal)
    except EdgeflowError as error:
        yield from failures(_NAME, error)


def _reached(config: BoxConfig) -> Iterator[Finding]:
    """Check that something listens at the broker's address, if no login can be tried."""
    address = f"{config.mqtt.host}:{config.mqtt.port}"
    try:
        socket.create_connection((config.mqtt.host, config.mqtt.port), timeout=_REACH_S).close()
    except (OSError, UnicodeError) as error:
        yield warning(_NAME, f"{address}: {connect_failure(error, _SETTINGS)}")


def _ask(config: BoxConfig) -> Mapping[str, Any] | Finding | None:
    """The running box's status; None where none runs here."""
    try:
        status: Mapping[str, Any] = ask(config.control_socket, "status", {})["status"]
    except HardwareError:
        return None
    except (EdgeflowError, KeyError) as error:
        return warning(_NAME, f"a box runs here and cannot be asked: {error}; so the broker is not tried")
    return status


def _is_same(status: Mapping[str, Any], config: BoxConfig) -> bool:
    """True if the running box logs in there as the same user: a second login could throw it out."""
    mqtt = config.mqtt
    address = f"{mqtt.host}:{mqtt.port}"
    return (status.get("broker_address"), status.get("broker_user")) == (address, mqtt.username or "")


def _from_running(status: Mapping[str, Any]) -> Iterator[Finding]:
    address, state = status["broker_address"], status["broker"]
    if not state.startswith("connected"):
        yield failed(_NAME, f"{address}: the running box says: {state}")
        return
    yield ok(_NAME, f"{address}: the running box is connected")
    for refusal in status["broker_refuses"]:
        yield failed(_NAME, f"the running box says: {refusal}")


def _from_trial(config: BoxConfig, *, publish: bool) -> Iterator[Finding]:
    client_id = f"{config.device_name}-check-{uuid.uuid4().hex[:6]}"
    topics = Topics(root=config.topic_root)
    heard, said = _heard(config, topics), _said(config, topics) if publish else ()
    trial = try_broker(config.mqtt, client_id, tuple(heard), said, _SETTINGS)
    address = f"{config.mqtt.host}:{config.mqtt.port}"
    if trial.failure:
        yield _not_connected(address, trial, client_id)
        return
    user = f" as {config.mqtt.username}" if config.mqtt.username else ""
    yield ok(_NAME, f"{address}: lets the box in{user} (MQTT {config.mqtt.version})")
    yield from _limits(trial)
    yield from _subscriptions(trial, heard, client_id)
    if publish:
        yield from _rights(trial, said, client_id, tells=config.mqtt.version == "5")


def _not_connected(address: str, trial: Trial, client_id: str) -> Finding:
    if not trial.reachable:
        # Only a warning: the line runs without it, and results wait in the outbox.
        return warning(_NAME, f"{address}: {trial.failure}")
    return failed(_NAME, f"{address}: {trial.failure}{_by_client_id(client_id)}")


def _by_client_id(client_id: str) -> str:
    return (
        f" (tried under the client id '{client_id}': where the broker's rights depend on the client id, "
        "start the box and check again, which asks the box)"
    )


def _heard(config: BoxConfig, topics: Topics) -> dict[str, bool]:
    """Topics that the box subscribes to; True where it cannot work without."""
    heard = {
        topics.availability: False,
        topics.alarm("+"): False,
        topics.result_ack: config.outbox.confirm == "consumer",
        topics.commands: bool(config.commands.allow or config.commands.issuers),
    }
    return heard | ({topics.trigger: True} if config.trigger.by_mqtt else {})


def _said(config: BoxConfig, topics: Topics) -> tuple[str, ...]:
    """Topics to which the box publishes; one of each kind."""
    return (
        topics.decision,
        topics.result,
        topics.dropped,
        topics.availability,
        topics.birth,
        topics.state,
        topics.camera_status(next(iter(config.cameras))),
        topics.alarm("check"),
        topics.metrics,
        topics.reply("check"),
    )


def _limits(trial: Trial) -> Iterable[Finding]:
    limits = trial.limits
    if limits.packet_bytes is not None and limits.packet_bytes < _SMALL_PACKET:
        yield warning(
            _NAME,
            f"takes packets of {limits.packet_bytes} bytes at most: larger results are set aside; raise that "
            "limit (Mosquitto: max_packet_size)",
        )
    if not limits.retain:
        yield warning(_NAME, "keeps no retained messages: who connects later does not see the box's state")


def _subscriptions(trial: Trial, heard: Mapping[str, bool], client_id: str) -> Iterable[Finding]:
    for topic, needed in heard.items():
        code = trial.subscriptions.get(topic)
        if code is not None and code < _REFUSED_FIRST:
            continue
        why = "the broker does not answer" if code is None else rights_refusal(code)
        finding = failed if needed else warning
        yield finding(_NAME, f"{topic}: the box may not subscribe: {why}{_by_client_id(client_id)}")


def _rights(trial: Trial, said: Iterable[str], client_id: str, *, tells: bool) -> Iterable[Finding]:
    for topic in said:
        code = trial.published.get(topic)
        if code is not None and code < _REFUSED_FIRST:
            yield ok(_NAME, f"{topic}: the box may publish")
        elif code is not None:
            text = f"{topic}: the box may not publish: {rights_refusal(code)}{_by_client_id(client_id)}"
            yield failed(_NAME, text)
        elif tells:
            yield failed(_NAME, f"{topic}: the broker does not answer; see its log")
        else:
            yield warning(
                _NAME,
                f"{topic}: a message did not come back: the box may not publish it, or this user may not "
                "read it; MQTT 3.1.1 does not say which",
            )
