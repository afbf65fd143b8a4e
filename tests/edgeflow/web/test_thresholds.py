"""Page *Thresholds* on a labelled history: calculated in a child, shown, accepted, or refused in words."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from starlette.testclient import TestClient

from edgeflow.bundles.bundle import Bundle
from edgeflow.commands.audit_log import read_audit
from edgeflow.config.box import BoxConfig, TrustConfig, load_config
from edgeflow.contracts.messages import BundleInfo, to_json
from edgeflow.history.database.store import HistoryStore
from edgeflow.history.labelling import label_part
from edgeflow.history.records import HistoryEntry
from edgeflow.recalibration.proposal import read_proposal
from edgeflow.run_time import read_boot
from edgeflow.security.users import add_user
from edgeflow.web.app import make_app
from edgeflow.web.box_link import BoxLink
from edgeflow.web.settings import page_settings
from simulators.results import simulated_result
from simulators.small_box import write_box
from simulators.small_bundle import SIDE, VIEWS, small_bundle
from tests.edgeflow.web.conftest import token
from tests.support.waiting import wait_until

GOOD, FALSE_REJECTS, REJECTS = 110, 8, 4
LIMIT = 120.0
# A calculation takes what is left of the processor, and beside other tests nothing is.
pytestmark = [pytest.mark.long, pytest.mark.alone]
IDLE_S = 240.0  # a calculation takes what other tests leave of the processor
AT = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.fixture
def config(tmp_path: Path) -> BoxConfig:
    """A box with 110 good parts, eight false rejects labelled OK and four rejects, two of them labelled."""
    path = write_box(tmp_path, 1)
    scale = {"centre": 100.0, "threshold": LIMIT}
    thresholds = {
        "part": scale,
        "views": dict.fromkeys(VIEWS, scale),
        "false_reject_rate": 0.02,
        "normal_parts": 60,
    }
    (tmp_path / "bundles/one.bundle").unlink()
    bundle = small_bundle(tmp_path / "bundles/one.bundle", thresholds=thresholds, version=1)
    config = load_config(path)
    assert config.evidence is not None
    with Bundle.open(bundle) as opened:
        info = BundleInfo(name="bracket", sha256=opened.sha256, backend="onnxruntime", precision="fp32")
    rng = np.random.default_rng(4)
    levels = [
        *rng.normal(100, 4, GOOD).clip(0, 115),
        *rng.uniform(121, 124, FALSE_REJECTS),
        *rng.uniform(150, 200, REJECTS),
    ]
    entries = []
    for number, level in enumerate(levels):
        folder = config.evidence.dir / "2026-11-28" / f"session-{number:06d}"
        scores = {view: float(int(level) + place) for place, view in enumerate(VIEWS)}
        verdict = "NG" if number >= GOOD else "OK"
        kept = number >= GOOD
        result = simulated_result(number, AT, scores).model_copy(
            update={"bundle": info, "verdict": verdict, "evidence": str(folder) if kept else None}
        )
        if kept:
            folder.mkdir(parents=True)
            for view, score in scores.items():
                Image.fromarray(np.full((SIDE, SIDE, 3), int(score), np.uint8)).save(folder / f"{view}.png")
            (folder / "result.json").write_bytes(to_json(result))
        entries.append(
            HistoryEntry(
                result=result, bundle_version=1, has_foreground=False, kept="verdict" if kept else None
            )
        )
    boot = read_boot()
    config.history_path.parent.mkdir(parents=True, exist_ok=True)
    store = HistoryStore(config.history_path, boot)
    store.write(entries, [], boot)
    store.close()
    for number in range(GOOD, GOOD + FALSE_REJECTS):
        label(config, number, "OK")
    for number in range(GOOD + FALSE_REJECTS, GOOD + FALSE_REJECTS + 2):
        label(config, number, "NG")
    return config


def label(config: BoxConfig, number: int, name: str) -> None:
    label_part(config.history_path, f"P-{number}", name, by="Ann", source="cli")


@pytest.fixture
def client(config: BoxConfig) -> Iterator[TestClient]:
    app = make_app(page_settings(config), BoxLink(config.control_socket))
    with TestClient(app, base_url="http://127.0.0.1:8088", raise_server_exceptions=False) as client:
        yield client


def ended(client: TestClient) -> str:
    """The page once no job runs."""
    wait_until(lambda: 'hx-trigger="every 1s"' not in client.get("/thresholds/state").text, IDLE_S)
    return client.get("/thresholds").text


def calculated(client: TestClient, **form: str) -> str:
    answer = client.post("/thresholds/calculate", headers=token(client), data=form)
    assert answer.status_code == 200
    return ended(client)


def accepted(client: TestClient, config: BoxConfig, **changes: str) -> str:
    proposal = read_proposal(config.proposal_path)
    assert proposal is not None
    form = {"proposal": proposal.proposal_id, "name": proposal.suggested, **changes}
    answer = client.post("/thresholds/accept", headers=token(client), data=form)
    return ended(client) if answer.status_code == 200 else f"{answer.status_code} {answer.text}"


def test_what_is_shown_is_what_is_written(client: TestClient, config: BoxConfig) -> None:
    assert "Calculate what would change" in client.get("/thresholds").text
    text = calculated(client)
    proposal = read_proposal(config.proposal_path)
    assert proposal is not None
    preview = proposal.preview
    turned = {one["part_id"] for one in preview["turned"]}
    assert turned
    assert turned <= {f"P-{n}" for n in range(GOOD, GOOD + FALSE_REJECTS)}
    assert all(f">{name}</a>" in text for name in turned)
    assert f"{preview['moved']:.2f}" in text
    assert "2 rejected parts have no label" in text
    assert '0 <span class="of">of 2</span>' in text
    pictures = re.findall(r'src="(/parts/session-\d+/picture/\w+/small)"', text)
    assert len(pictures) == len(turned) * len(VIEWS)
    assert client.get(pictures[0]).headers["content-type"] == "image/jpeg"
    assert "Schwellen aus Beurteilungen" in client.get("/thresholds", headers={"accept-language": "de"}).text
    before = sorted(config.bundle.parent.iterdir())
    text = accepted(client, config)
    assert "bracket-3.bundle, version 3" in text  # two.bundle beside it is version 2
    assert "not signed" in text
    assert 'name="proposal"' not in text
    written = config.bundle.parent / "bracket-3.bundle"
    assert sorted(config.bundle.parent.iterdir()) == sorted([*before, written])
    with Bundle.open(written) as bundle:
        after = bundle.manifest.reference_thresholds
        assert after.model_dump(mode="json") == preview["thresholds"]
        assert bundle.manifest.version == 3
    record = read_audit(config.audit_path, 1)[0]
    assert (record["verb"], record["arguments"]["new"]) == ("calibrate", "bracket-3.bundle")
    assert record["source"].endswith("for user 'local'")
    assert accepted(client, config).startswith("400 This is not the latest calculation")
    signed = config.model_copy(update={"trust": TrustConfig(keys=(Path("line.pub.pem"),))})
    restarted = make_app(page_settings(signed), BoxLink(config.control_socket))
    with TestClient(restarted, base_url="http://127.0.0.1:8088") as again:
        text = again.get("/thresholds").text
    assert "bracket-3.bundle, version 3" in text
    assert "edgeflow keys sign bracket-3.bundle --key" in text


def test_labels_that_changed_since_are_calculated_anew_and_nothing_is_written(
    client: TestClient, config: BoxConfig
) -> None:
    calculated(client)
    first = read_proposal(config.proposal_path)
    config.bundle.unlink()
    config.bundle.symlink_to("two.bundle")
    assert "the box has another bundle now" in accepted(client, config)
    config.bundle.unlink()
    config.bundle.symlink_to("one.bundle")
    label(config, GOOD + FALSE_REJECTS + 2, "NG")
    text = accepted(client, config)
    assert "labels have changed since the calculation" in text
    second = read_proposal(config.proposal_path)
    assert first is not None
    assert second is not None
    assert second.proposal_id != first.proposal_id
    assert second.preview["labelled_ng"] == first.preview["labelled_ng"] + 1
    assert not (config.bundle.parent / first.suggested).exists()
    assert accepted(client, config, proposal=first.proposal_id).startswith("400 This is not the latest")
    assert "version 3" in accepted(client, config)


def test_a_threshold_that_moves_far_is_written_only_when_that_is_confirmed(
    client: TestClient, config: BoxConfig
) -> None:
    for number in range(GOOD + FALSE_REJECTS, GOOD + FALSE_REJECTS + REJECTS):
        label_part(config.history_path, f"P-{number}", "OK", by="Ann", source="cli")
    text = calculated(client)
    assert "would move by more than 0.25" in text
    refused_names(client, config)
    assert accepted(client, config).startswith("400 A threshold would move far")
    assert config.evidence is not None
    shutil.rmtree(config.evidence.dir)  # under the page: what was shown is written all the same
    assert "no pictures are kept" in client.get("/thresholds").text
    assert "version 3" in accepted(client, config, accept="yes")
    assert read_audit(config.audit_path, 1)[0]["arguments"]["accept"] == "yes"


def refused_names(client: TestClient, config: BoxConfig) -> None:
    for name in ("../x.bundle", "x" * 200 + ".bundle", "größe.bundle", "", "x.zip"):
        assert "made of letters" in accepted(client, config, name=name)
    for name in ("two.bundle", "current.bundle"):
        assert "is a file of this name already" in accepted(client, config, name=name)


def test_two_at_once_are_refused_and_one_can_be_cancelled(client: TestClient, config: BoxConfig) -> None:
    headers = token(client)
    assert client.post("/thresholds/calculate", headers=headers).status_code == 200
    assert client.post("/thresholds/calculate", headers=headers).status_code == 409
    client.post("/thresholds/cancel", headers=headers)
    assert "The calculation was cancelled." in ended(client)
    assert read_proposal(config.proposal_path) is None


def test_a_calculation_that_is_killed_is_said_with_the_command_that_does_the_same(client: TestClient) -> None:
    headers = token(client)
    client.post("/thresholds/calculate", headers=headers)
    child = child_of_this_process()
    os.kill(child, signal.SIGKILL)
    assert "was ended from outside" in ended(client)
    assert "edgeflow calibrate current.bundle" in client.get("/thresholds").text


def child_of_this_process() -> int:
    found: list[int] = []

    def look() -> bool:
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            if b"edgeflow.recalibration.process" in words and parent == os.getpid():
                found.append(int(entry.name))
        return bool(found)

    wait_until(look, IDLE_S)
    return found[0]


def refused_rates(client: TestClient) -> None:
    headers = token(client)
    for rate in ("0", "100", "-1", "nan", "inf", "1e999", "x", "<b>"):
        answer = client.post("/thresholds/calculate", headers=headers, data={"rate": rate})
        assert (answer.status_code, "number of percent" in answer.text) == (400, True)


def test_a_history_that_cannot_tell_is_said_as_on_the_command_line(
    client: TestClient, config: BoxConfig
) -> None:
    refused_rates(client)
    assert "at least" in calculated(client, rate="0,001")
    for file in config.history_path.parent.glob("history.db*"):
        file.unlink()
    assert "There is no result." in calculated(client)
    assert config.evidence is not None
    config.proposal_path.write_text("{")
    assert "cannot be read" in client.get("/thresholds").text


def test_each_product_of_a_box_has_its_own(config: BoxConfig) -> None:
    document = yaml.safe_load((config.bundle.parents[1] / "box.yaml").read_text())
    del document["bundle"]
    document["products"] = {"left": "bundles/current.bundle", "right": "bundles/two.bundle"}
    path = config.bundle.parents[1] / "products.yaml"
    path.write_text(yaml.safe_dump(document))
    several = load_config(path)
    app = make_app(page_settings(several), BoxLink(several.control_socket))
    with TestClient(app, base_url="http://127.0.0.1:8088") as client:
        headers = token(client)
        for form in ({}, {"product": "middle"}):
            answer = client.post("/thresholds/calculate", headers=headers, data=form)
            assert (answer.status_code, "no such product" in answer.text) == (400, True)
        assert "left · bracket" in calculated(client, product="left")
        assert "version 3" in accepted(client, several)
        assert '<input type="hidden" name="product" value="left">' in client.get("/thresholds").text
        assert read_audit(several.audit_path, 1)[0]["arguments"]["product"] == "left"


def test_only_engineers_see_the_page_and_its_place(config: BoxConfig) -> None:
    for name, role in (("otto", "operator"), ("eva", "engineer")):
        add_user(config.web_users_path, name, role, "correct horse")  # type: ignore[arg-type]
    app = make_app(page_settings(config), BoxLink(config.control_socket))
    with TestClient(app, base_url="http://127.0.0.1:8088") as client:
        for name, allowed in (("otto", False), ("eva", True)):
            client.post("/login", data={"name": name, "password": "correct horse"})
            assert ('href="/thresholds"' in client.get("/line").text) == allowed
            assert client.get("/thresholds").status_code == (200 if allowed else 403)
            assert client.post("/thresholds/calculate").status_code == 403  # no token
            headers = token(client)
            for place in ("calculate", "cancel", "accept"):
                answer = client.post(f"/thresholds/{place}", headers=headers, data={"rate": "x"})
                assert (answer.status_code == 403) != allowed
