"""Each query of the dashboard runs on a real PostgreSQL with rows of a collector, and tells what is there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from edgeflow.collector.records import Received, read_row
from edgeflow.collector.stores.postgresql import PostgresqlStore
from edgeflow.collector.stores.store import BoxSeen
from edgeflow.contracts.messages import Dropped, to_json
from simulators.postgresql import Postgresql

FILE = Path(__file__).parents[3] / "firmware_configs" / "grafana" / "edgeflow-results.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text())
PANELS = {panel["title"]: panel["targets"][0]["rawSql"] for panel in DASHBOARD["panels"]}
VARIABLES = {
    each["name"]: each["query"] for each in DASHBOARD["templating"]["list"] if each["type"] == "query"
}
AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
ROOT = "edgeflow/v1/plant1/l3/s2"


def filled_in(query: str, schema: str) -> str:
    """A query as Grafana sends it: macros and variables replaced."""
    query = query.replace("edgeflow.", f"{schema}.")
    query = re.sub(
        r"\$__timeFilter\((\w+)\)", r"\1 BETWEEN '2026-11-29T00:00:00Z' AND '2026-11-30T00:00:00Z'", query
    )
    query = re.sub(
        r"\$__timeGroupAlias\((\w+), \$__interval\)",
        r'to_timestamp(floor(extract(epoch FROM \1) / 60) * 60) AS "time"',
        query,
    )
    query = query.replace("$line", "'l3'").replace("$station", "'s2'")
    assert "$" not in query
    return query


@pytest.fixture
def rows(
    server: Postgresql, postgresql: Callable[..., PostgresqlStore], message: Callable[..., Received]
) -> Callable[[str], list[tuple[Any, ...]]]:
    """The rows of a query, with 40 results, a dropped one, one set aside and a box in the database."""
    store = postgresql()
    messages = [message(n, AT + timedelta(seconds=10 * n)) for n in range(40)]
    notice = Dropped(record_id="d", first="a", last="b", count=3, why="full", at="2026-11-29T12:00:00.0Z")
    messages += [
        Received(root=ROOT, kind="dropped", payload=to_json(notice)),
        Received(root=ROOT, kind="result", payload=b"no json"),
    ]
    store.write([read_row(each) for each in messages], AT + timedelta(minutes=10))
    store.note_boxes([BoxSeen(root=ROOT, session="s", seen_at=AT, two_boxes=False)])

    def ask(query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(server.connection) as connection:
            return connection.execute(filled_in(query, store._config.db_schema).encode()).fetchall()

    return ask


Ask = Callable[[str], list[tuple[Any, ...]]]


def test_every_query_runs_and_finds_something(rows: Ask) -> None:
    for title, query in (*PANELS.items(), *VARIABLES.items()):
        assert rows(query), title


def test_counts_and_shares_are_those_of_the_rows(rows: Ask) -> None:
    assert rows(PANELS["Parts"]) == [(40,)]
    assert rows(PANELS["Rejected"]) == [(0.5,)]
    assert rows(PANELS["Decided in time"]) == [(1.0,)]
    assert rows(PANELS["Reasons"]) == [("defect", 20)]
    assert rows(PANELS["Views over their threshold"]) == [("C1", 20)]
    assert sum(row[2] for row in rows(PANELS["Parts by verdict"])) == 40


def test_variables_offer_lines_and_stations(rows: Ask) -> None:
    assert rows(VARIABLES["line"]) == [("l3",)]
    assert rows(VARIABLES["station"]) == [("s2",)]


def test_a_time_series_has_a_time(rows: Ask) -> None:
    for panel in DASHBOARD["panels"]:
        target = panel["targets"][0]
        if target["format"] == "time_series":
            assert all(isinstance(row[0], datetime) for row in rows(target["rawSql"])), panel["title"]


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
