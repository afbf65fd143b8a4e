"""The watcher's pure half: messages to rows, counts and lines; and how a URL is read."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from rich.console import Console

from edgeflow.cli.monitor import PASSWORD_VARIABLE, parse_url, render, run_monitor
from edgeflow.cli.terminal.monitor_board import Board, Seen, json_line, plain_line, read_message
from edgeflow.contracts.messages import Alarm, Decision, Result, State, VerdictName, from_json, to_json
from edgeflow.errors import ConfigError

SAMPLE = Path(__file__).parents[2] / "samples" / "result.json"
BOX = "edgeflow/v1/plant1/l3/s2"


def result(number: int = 1, verdict: VerdictName = "NG", **changes: object) -> Result:
    sample = from_json(Result, SAMPLE.read_bytes())
    return sample.model_copy(update={"result_id": f"r-{number}", "verdict": verdict, **changes})


def decision(number: int = 1, verdict: VerdictName = "NG") -> Decision:
    return Decision(
        result_id=f"r-{number}",
        trigger_id="t",
        part_id="part-1",
        verdict=verdict,
        reason="",
        seq=number,
        session="s",
        acquired_at="2026-03-04T10:11:12.013Z",
        valid_until="2026-03-04T10:11:13.013Z",
    )


def seen(kind: str, payload: bytes) -> Seen:
    found = read_message(f"{BOX}/{kind}", payload)
    assert found is not None
    return found


def test_a_result_fills_the_row_that_its_decision_began() -> None:
    board = Board()
    board.add(seen("decision", to_json(decision())))
    (part,) = board.parts
    assert (part.time, part.station, part.part_id) == ("10:11:12.013", "plant1/l3/s2", "part-1")
    assert (part.verdict, part.score, part.latency_ms) == ("NG", None, None)
    board.add(seen("result", to_json(result())))
    (part,) = board.parts
    assert (part.score, part.worst_view, part.latency_ms, part.replayed) == (1.42, "top", 140.0, False)
    assert (board.counts["NG"], board.results) == (1, 1)


def test_a_decision_after_its_result_does_not_empty_the_row() -> None:
    board = Board()
    board.add(seen("result", to_json(result())))
    board.add(seen("decision", to_json(decision())))
    assert board.parts[0].score == 1.42


def test_a_part_counts_once_however_often_it_comes() -> None:
    board = Board()
    for message in (result(1), result(1, replayed=True, attempt=2), result(2, "OK"), result(3, "UNDECIDED")):
        board.add(seen("result", to_json(message)))
    assert board.counts == {"OK": 1, "NG": 1, "UNDECIDED": 1}
    assert board.results == 4


def test_the_newest_parts_come_first_and_old_ones_go() -> None:
    board = Board(rows=3)
    for number in range(5):
        board.add(seen("result", to_json(result(number))))
    assert [part.result_id for part in board.parts] == ["r-4", "r-3", "r-2"]
    assert board.counts["NG"] == 5


def test_a_part_without_scores_is_shown_without() -> None:
    message = result(1, "UNDECIDED", score=None, score_raw=None, views=(), reason="missing views: top")
    board = Board()
    board.add(seen("result", to_json(message)))
    assert (board.parts[0].score, board.parts[0].worst_view) == (None, None)
    assert "UNDECIDED score - worst -" in plain_line(seen("result", to_json(message)))


def test_stations_show_availability_and_state() -> None:
    state = State(
        session="s", state="Ready", detail="running", recipe="r", ready=True, at="2026-03-04T10:11:12.0Z"
    )
    board = Board()
    board.add(seen("availability", b"online"))
    board.add(seen("state", to_json(state)))
    status = board.stations["plant1/l3/s2"]
    assert (status.availability, status.state, status.detail) == ("online", "Ready", "running")
    board.add(seen("availability", b"offline"))
    assert board.stations["plant1/l3/s2"].availability == "offline"


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("result", b""),
        ("result", b"\xff\xfe"),
        ("result", b"[" * 100_000),
        ("decision", b'{"verdict": "MAYBE"}'),
        ("state", b"null"),
        ("availability", b"perhaps"),
    ],
)
def test_malformed_messages_are_shown_as_such(kind: str, payload: bytes) -> None:
    found = seen(kind, payload)
    assert found.problem
    board = Board()
    board.add(found)
    assert board.malformed == found
    assert sum(board.counts.values()) == board.results == 0
    assert "malformed" in plain_line(found)
    assert json.loads(json_line(found))["problem"] == found.problem
    assert "malformed" in rendered(board)


def test_other_topics_are_of_no_interest() -> None:
    for topic in (f"{BOX}/birth", f"{BOX}/camera/top/status", f"{BOX}/result/ack", "x"):
        assert read_message(topic, b"online") is None


def test_what_comes_over_the_network_cannot_steer_the_terminal() -> None:
    hostile = result(part_id="\x1b[2J\x07evil", reason="\x1b]0;title\x07")
    board = Board()
    board.add(seen("result", to_json(hostile)))
    board.add(seen("availability", b"\x1b[31m"))
    for text in (plain_line(seen("result", to_json(hostile))), rendered(board)):
        assert "\x1b" not in text
        assert "\x07" not in text
    assert "evil" in board.parts[0].part_id


def test_json_lines_hold_the_whole_payload() -> None:
    line = json.loads(json_line(seen("result", to_json(result()))))
    assert (line["kind"], line["station"], line["topic"]) == ("result", "plant1/l3/s2", f"{BOX}/result")
    assert line["payload"] == json.loads(to_json(result()))
    assert json.loads(json_line(seen("availability", b"online")))["payload"] == "online"


def rendered(board: Board) -> str:
    console = Console(file=io.StringIO(), width=160, color_system=None)
    console.print(render(board))
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def test_the_table_shows_a_part_in_one_line() -> None:
    board = Board()
    board.add(seen("availability", b"online"))
    board.add(seen("result", to_json(result(replayed=True))))
    text = rendered(board)
    (line,) = [line for line in text.splitlines() if "part-1" in line]
    for cell in ("10:11:12", "NG", "1.420", "top", "140", "replayed"):
        assert cell in line
    assert "plant1/l3/s2" not in line, "one station needs no column"
    assert "NG 1" in text
    assert "plant1/l3/s2: online" in text


def test_several_stations_get_a_column() -> None:
    board = Board()
    board.add(seen("result", to_json(result())))
    board.add(read_message("edgeflow/v1/plant1/l3/s9/availability", b"online"))
    (line,) = [line for line in rendered(board).splitlines() if "part-1" in line]
    assert "plant1/l3/s2" in line


def test_a_url_names_broker_and_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD_VARIABLE, "from-environment")
    plain, full = parse_url("mqtt://broker"), parse_url("mqtts://box%407:pass%2Fword@broker:1234")
    assert (plain.host, plain.port, plain.tls, plain.username) == ("broker", 1883, False, None)
    assert (full.host, full.port, full.tls, full.username, full.password) == (
        "broker",
        1234,
        True,
        "box@7",
        "pass/word",
    )
    assert parse_url("mqtts://box7@broker").password == os.environ[PASSWORD_VARIABLE]
    assert parse_url("mqtts://broker").port == 8883
    assert "word" not in f"{full} {full!r}"


@pytest.mark.parametrize(
    "url",
    [
        "broker",
        "http://u:secret@broker",
        "mqtt://",
        "mqtt://u:secret@broker:port",
        "mqtt://u:secret@broker:99999",
        "mqtt://u:secret@broker/topic",
    ],
)
def test_a_wrong_url_is_told_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        run_monitor(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("topic", ["", "a/#/b", "a/b#", "a+/b"])
def test_a_topic_that_no_broker_takes_is_refused(topic: str) -> None:
    with pytest.raises(ConfigError, match="not a topic to watch"):
        run_monitor("mqtt://broker", topic=topic)


def test_alarms_stand_with_their_station_until_cleared() -> None:
    board = Board()
    for subject, text in (("left", "pulled"), ("top", "no \x1bframe")):
        alarm = Alarm(
            session="s",
            code="camera_stale",
            subject=subject,
            severity="error",
            text=text,
            since="2026-03-04T10:11:12.000Z",
        )
        board.add(seen(f"alarm/camera_stale.{subject}", to_json(alarm)))
    over = seen("alarm/camera_stale.left", b"")
    assert plain_line(over).endswith("camera_stale.left over")
    board.add(over)
    (standing,) = board.stations["plant1/l3/s2"].alarms
    assert standing.subject == "top"
    console = Console(file=io.StringIO(), width=120)
    console.print(render(board))
    assert isinstance(console.file, io.StringIO)
    assert "camera_stale.top since 2026-03-04T10:11:12Z: no \ufffdframe" in console.file.getvalue()
