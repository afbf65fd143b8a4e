"""``edgeflow fleet`` at the office, as a person types it; the fault suite has the agents of real boxes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgeflow.cli.main import cli
from edgeflow.contracts.message_parts.fleet_status import FleetPhase, FleetStatus
from edgeflow.contracts.messages import to_json
from edgeflow.errors import EdgeflowError
from edgeflow.security.keys import new_key, read_private_key
from simulators.small_bundle import small_bundle


@dataclass(frozen=True, kw_only=True)
class Done:
    exit_code: int
    output: str


def run(*words: str | Path) -> Done:
    """The command with its exit code and all that it says, also where it fails."""
    done = CliRunner().invoke(cli, ["fleet", *map(str, words)])
    if isinstance(done.exception, EdgeflowError):
        return Done(exit_code=done.exception.exit_code, output=str(done.exception))
    return Done(exit_code=done.exit_code, output=done.output)


@pytest.fixture
def office(tmp_path: Path) -> Path:
    """A folder with a repository, its keys, and a signed bundle."""
    new_key(tmp_path / "signer", None)
    signer = read_private_key(tmp_path / "signer.key.pem", None)
    small_bundle(tmp_path / "two.bundle", version=2, signer=signer)
    done = run(
        "init", tmp_path / "repo", "--keys", tmp_path / "keys", "--group", "canary:1", "--group", "line3:2"
    )
    assert done.exit_code == 0, done.output
    assert "root.json: goes to every box" in done.output
    return tmp_path


def report(
    office: Path,
    box: str,
    phase: FleetPhase,
    release: str,
    group: str = "canary",
    compared: int | None = None,
) -> None:
    folder = office / "repo" / "status"
    folder.mkdir(exist_ok=True)
    status = FleetStatus(
        box=box, group=group, phase=phase, release=release, reason="3 parts could not be scored",
        at="2026-11-29T10:00:00.000Z", compared=compared, turned=0,
    )  # fmt: skip
    (folder / f"{box}.json").write_bytes(to_json(status))


def test_a_release_goes_from_group_to_group_and_is_taken_back(office: Path) -> None:
    keys = ("--keys", office / "keys")
    published = run("publish", office / "repo", office / "two.bundle", *keys, "--prove", "50", "--json")
    assert published.exit_code == 0, published.output
    release = json.loads(published.output)
    assert (release["groups"], release["bounds"]["prove_parts"]) == (["canary"], 50)

    refused = run("promote", office / "repo", "bracket", "--to", "line3", *keys)
    assert refused.exit_code == 2
    assert "0 of 1 boxes have reported success" in refused.output

    report(office, "b1", "good", release["id"], compared=49)
    unproven = run("promote", office / "repo", "bracket", "--to", "line3", *keys)
    assert unproven.exit_code == 2
    assert "on 50 parts in the shadow (b1 on 49)" in unproven.output
    report(office, "b1", "good", release["id"], compared=50)
    promoted = run("promote", office / "repo", "bracket", "--to", "line3", *keys)
    assert promoted.exit_code == 0, promoted.output
    shown = run("status", office / "repo")
    assert shown.exit_code == 0
    assert "b1" in shown.output
    assert max(map(len, shown.output.splitlines())) <= 80
    found = json.loads(run("status", office / "repo", "--json").output)
    assert found["releases"][0]["groups"] == ["canary", "line3"]
    assert set(found["expires"]) == {"root", "targets", "snapshot", "timestamp"}

    assert run("revoke", office / "repo", "bracket", *keys).exit_code == 0
    assert "is revoked" in run("promote", office / "repo", "bracket", "--to", "line3", *keys).output


def test_a_release_without_a_proof_goes_on_with_a_reason_that_is_kept(office: Path) -> None:
    keys = ("--keys", office / "keys")
    release = json.loads(run("publish", office / "repo", office / "two.bundle", *keys, "--json").output)
    report(office, "b1", "good", release["id"])
    words = ("promote", office / "repo", "bracket", "--to", "line3", *keys)
    assert run(*words).exit_code == 2
    done = run(*words, "--accept-unproven", "line 3 has no cameras for it yet")
    assert done.exit_code == 0, done.output
    shown = " ".join(run("status", office / "repo").output.split())
    assert "without a proof in the shadow for line3: line 3 has no cameras for it yet" in shown


def test_box_files_are_published_for_the_stations_that_they_name(office: Path) -> None:
    keys = ("--keys", office / "keys")
    box = office / "s2.yaml"
    box.write_text(BOX)
    done = run("publish-box", office / "repo", box, *keys, "--parts", "20", "--undecided", "1", "--json")
    assert done.exit_code == 0, done.output
    (made,) = json.loads(done.output)
    assert (made["station"], made["parts"], made["undecided"]) == ("plant1/l3/s2", 20, 1)
    assert "for plant1/l3/s2" in run("publish-box", office / "repo", box, *keys).output
    box.write_text(BOX.replace("fleet:", "fleets:"))
    assert run("publish-box", office / "repo", box, *keys).exit_code == 2


BOX = """
station: {site: plant1, line: l3, station: s2}
bundle: current.bundle
trigger: {source: interval, period_ms: 500, timeout_ms: 200}
cameras: {top: {kind: replay, parts: parts, loop: true}}
sync: {max_skew_ms: 500}
decision: {deadline_ms: 5000}
runtime: {backend: onnxruntime, precision: fp32}
mqtt: {host: broker, port: 1883}
outbox: {path: outbox.db}
fleet: {repository: "https://updates.plant.example", root: root.json, group: canary}
"""


def test_one_box_that_went_back_stops_the_promotion(office: Path) -> None:
    keys = ("--keys", office / "keys")
    release = json.loads(run("publish", office / "repo", office / "two.bundle", *keys, "--json").output)
    report(office, "b1", "good", release["id"])
    report(office, "b2", "rolled_back", release["id"])
    refused = run("promote", office / "repo", release["id"], "--to", "line3", *keys)
    assert refused.exit_code == 2
    assert "b2 (canary): rolled back: 3 parts could not be scored" in refused.output
    assert "b2: 3 parts could not be scored" in run("status", office / "repo").output


def test_keys_are_renewed_and_replaced_by_those_who_have_them(office: Path) -> None:
    keys = ("--keys", office / "keys")
    assert "timestamp expires" in run("refresh", office / "repo", *keys, "--root").output
    for role in ("timestamp", "targets", "root"):
        assert run("rotate", office / "repo", role, *keys).exit_code == 0
    assert run("publish", office / "repo", office / "two.bundle", *keys).exit_code == 0
    (office / "online").mkdir()
    for name in ("snapshot", "timestamp-2"):
        (office / "keys" / f"{name}.key.pem").rename(office / "online" / f"{name}.key.pem")
    assert run("refresh", office / "repo", "--keys", office / "online").exit_code == 0
    without = run("publish", office / "repo", office / "two.bundle", *keys)
    assert without.exit_code == 2


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("status", "nowhere"), "make one with 'edgeflow fleet init'"),
        (("init", "repo", "--keys", "keys", "--group", "canary:none"), "write NAME or NAME:BOXES"),
        (("init", "repo", "--keys", "keys", "--group", "a", "--group", "a"), "each group of boxes once"),
        (("publish", "repo", "none.bundle", "--keys", "nothing"), "no such folder of keys"),
    ],
)
def test_what_cannot_be_done_says_what_to_do(
    words: tuple[str, ...], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*words)
    assert done.exit_code == 2
    assert text in done.output
