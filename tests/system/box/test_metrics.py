"""A running box, read by a real Prometheus: every query of the dashboard and of the alerts has an answer."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import yaml

from edgeflow.contracts.messages import shipped_schema
from tests.support.brokers import Broker, mosquitto
from tests.support.prometheus import Prometheus, free_port, program
from tests.support.waiting import wait_until
from tests.system.conftest import Client

REPOSITORY = Path(__file__).resolve().parents[3]
DEMO = REPOSITORY / "tools" / "demo"
FIRMWARE = REPOSITORY / "firmware_configs"
DASHBOARD = FIRMWARE / "grafana" / "edgeflow-dashboard.json"
ALERTS = FIRMWARE / "prometheus" / "edgeflow-alerts.yml"
ROOT = "edgeflow/v1/demo/l1/s1"
WATCHDOG_US = 8_000_000

MAY_BE_EMPTY = {"edgeflow_temperature_celsius"}  # a virtual machine has no sensors


@dataclass(frozen=True, kw_only=True)
class Site:
    """A box with its broker, its service manager and its Prometheus."""

    box: Path
    port: int
    process: subprocess.Popen[str]
    consumer: Client
    manager: socket.socket
    prometheus: Prometheus

    def page(self) -> str:
        return httpx.get(f"http://127.0.0.1:{self.port}/metrics", timeout=120, trust_env=False).text


def write_box(folder: Path, broker_port: int, port: int) -> Path:
    """The demo's box with its recording, again and again, at a pace that a busy machine keeps."""
    document = yaml.safe_load((DEMO / "box.yaml").read_text())
    document["bundle"] = str(DEMO / "housing.bundle")
    for camera in document["cameras"].values():
        camera |= {"parts": str(DEMO / "parts"), "loop": True}
    document |= {
        "trigger": {"source": "interval", "period_ms": 250, "timeout_ms": 4000},
        "sync": {"max_skew_ms": 4000},
        "decision": {"deadline_ms": 10_000},
        "mqtt": {"host": "127.0.0.1", "port": broker_port},
        "outbox": {"path": str(folder / "outbox.db"), "confirm": "broker"},
        "evidence": {"dir": str(folder / "evidence"), "save": ["NG", "UNDECIDED"], "min_free_gb": 0},
        "metrics": {"listen": f"127.0.0.1:{port}", "every_s": 1},
        "log": {"format": "json"},
        "trust": {},  # the alarm product_unpinned stands
    }
    document["runtime"]["threads"] = 1
    path = folder / "box.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """All of it, once the box has been read several times and has rejected a part."""
    folder = tmp_path_factory.mktemp("site")
    with ExitStack() as stack:
        broker = Broker(mosquitto(), folder)
        broker.start()
        stack.callback(broker.kill)
        consumer = Client(broker.port, f"{ROOT}/#")
        stack.callback(consumer.close)
        manager = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        manager.bind(str(folder / "notify"))
        manager.setblocking(False)
        port = free_port()
        box = write_box(folder, broker.port, port)
        log = stack.enter_context((folder / "box.log").open("w"))
        environment = {
            **os.environ,
            "NOTIFY_SOCKET": str(folder / "notify"),
            "WATCHDOG_USEC": str(WATCHDOG_US),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "edgeflow.cli", "run", str(box), "--quiet"],
            stdout=subprocess.DEVNULL,
            stderr=log,
            text=True,
            env=environment,
        )
        stack.callback(ended, process)
        prometheus = stack.enter_context(Prometheus(folder, FIRMWARE / "prometheus", port))
        made = Site(
            box=box, port=port, process=process, consumer=consumer, manager=manager, prometheus=prometheus
        )
        wait_until(lambda: any('"NG"' in payload for payload in consumer.payloads("/result")))
        wait_until(lambda: prometheus.ask('count_over_time(edgeflow_parts_total{verdict="NG"}[1m]) > 4'))
        yield made


def ended(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(120)
    finally:
        process.kill()


def queries() -> list[str]:
    """The queries of all panels, as Grafana fills them in."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    return [query.replace("$instance", ".*").replace("$__rate_interval", "10s") for query in asked]


def alert_queries() -> dict[str, str]:
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    return {rule["alert"]: rule["expr"] for rule in group["rules"]}


def test_promtool_accepts_rules_configuration_and_every_query_of_the_dashboard(tmp_path: Path) -> None:
    promtool = program("promtool")
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries())]
    assert len(rules) > 30
    (tmp_path / "dashboard.yml").write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    for words in (
        ["config", str(FIRMWARE / "prometheus" / "prometheus.yml")],
        ["rules", str(tmp_path / "dashboard.yml")],
    ):
        done = subprocess.run([promtool, "check", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_has_what_grafana_needs_to_import_it() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert "docs/how-to/metrics.md" in dashboard["description"]
    assert [variable["name"] for variable in dashboard["templating"]["list"]] == ["datasource", "instance"]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    assert all(
        panel["datasource"]["uid"] == "${datasource}" for panel in dashboard["panels"] if "targets" in panel
    )
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)


def test_every_query_of_the_dashboard_has_data(site: Site) -> None:
    empty = [query for query in queries() if not site.prometheus.ask(query)]
    rightly = [query for query in empty if any(name in query for name in MAY_BE_EMPTY)]
    assert empty == rightly


def test_every_metric_that_an_alert_asks_for_is_told_by_the_box(site: Site) -> None:
    asked = set(re.findall(r"\b(?:edgeflow|process)_\w+", " ".join(alert_queries().values())))
    assert len(asked) > 15
    told = {metric["__name__"] for metric in site.prometheus.series('{job="edgeflow"}')}
    assert asked - told <= MAY_BE_EMPTY


def test_prometheus_runs_the_alerts_and_none_about_the_box_is_wrong(site: Site) -> None:
    wait_until(lambda: all(rule["health"] == "ok" for rule in site.prometheus.rules()))
    rules = {rule["name"]: rule for rule in site.prometheus.rules()}
    assert set(rules) == set(alert_queries())
    assert not [name for name, rule in rules.items() if rule.get("lastError")]
    quiet = {"EdgeflowBoxDown", "EdgeflowDecisionsLost", "EdgeflowResultsDropped", "EdgeflowHistoryGap",
             "EdgeflowResultsWait", "EdgeflowMemoryGrows", "EdgeflowUnsupervised"}  # fmt: skip
    assert {name for name in quiet if rules[name]["state"] != "inactive"} == set()


def test_counts_agree_with_what_the_consumer_got(site: Site) -> None:
    promtool = program("promtool")
    before = len(site.consumer.payloads("/result"))
    page = site.page()
    counted = sum(
        int(float(n)) for n in re.findall(r"^edgeflow_parts_total\{.*\} (\S+)$", page, re.MULTILINE)
    )
    wait_until(lambda: len(site.consumer.payloads("/result")) >= counted)
    assert counted >= before - 1
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_message_comes_by_mqtt_and_fits_its_schema(site: Site) -> None:
    seen = len(site.consumer.payloads("/metrics"))
    wait_until(lambda: len(site.consumer.payloads("/metrics")) >= seen + 2)
    document = json.loads(site.consumer.payloads("/metrics")[-1])
    jsonschema.Draft202012Validator(shipped_schema("metrics")).validate(document)
    assert set(document["cameras"]) == {"C1", "C2", "C3", "C4", "C5"}
    assert document["state"] == "ContinuousExecution"
    assert document["memory_mb"] > 20
    late = Client(int(yaml.safe_load(site.box.read_text())["mqtt"]["port"]), f"{ROOT}/metrics")
    late.wait_until_subscribed()
    assert not [message for message in late.messages if message.retain]
    late.close()


def test_the_service_manager_is_fed_and_the_box_and_its_page_know(site: Site) -> None:
    def fed() -> bool:
        try:
            return b"WATCHDOG=1" in site.manager.recv(4096)
        except BlockingIOError:
            return False

    wait_until(fed)
    assert "edgeflow_watchdog_supervised 1.0\n" in site.page()
    done = subprocess.run(
        [sys.executable, "-m", "edgeflow.cli", "ctl", str(site.box), "status", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    watchdog = json.loads(done.stdout)["watchdog"]
    assert (watchdog["supervised"], watchdog["limit_s"]) == (True, WATCHDOG_US / 1e6)
    assert watchdog["fed_age_s"] is not None
    command = [
        sys.executable,
        "-m",
        "edgeflow.cli",
        "web",
        str(site.box),
        "--listen",
        "127.0.0.1:0",
        "--json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as page:
        assert page.stdout is not None
        address = json.loads(page.stdout.readline())["address"]
        wait_until(lambda: re.search(r"Watchdog: fed [0-9.]+ s ago, limit 8 s", line_page(address)))
        page.terminate()


def line_page(address: str) -> str:
    return httpx.get(f"{address}/line", timeout=120, trust_env=False).text


def test_check_knows_the_address_of_the_box_that_runs(site: Site) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgeflow.cli", "check", str(site.box), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    findings: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    (found,) = [finding for finding in findings if finding["name"] == "metrics"]
    assert found["state"] == "ok"
    assert "the running box answers" in found["text"]


def test_a_second_box_with_the_same_address_does_not_start(site: Site, tmp_path: Path) -> None:
    other = tmp_path / "box.yaml"
    other.write_text(site.box.read_text().replace("outbox.db", "other.db"))
    done = subprocess.run(
        [sys.executable, "-m", "edgeflow.cli", "run", str(other)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    line = json.loads(done.stderr.splitlines()[-1])
    assert line["event"] == "ended"
    assert (
        f"metrics.listen 127.0.0.1:{site.port}: cannot be listened at: Address already in use" in line["text"]
    )


def test_the_log_is_json_line_by_line(site: Site) -> None:
    """Last: it ends the box."""
    site.process.send_signal(signal.SIGTERM)
    assert site.process.wait(120) == 0
    lines = [json.loads(line) for line in (site.box.parent / "box.log").read_text().splitlines()]
    assert all({"time", "level", "text", "logger"} <= line.keys() for line in lines)
