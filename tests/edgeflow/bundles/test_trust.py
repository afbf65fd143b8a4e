"""A box runs bundles made for it, in time, signed by trusted keys, and never older than before."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgeflow.alarms import Alarms
from edgeflow.bundles.bundle import Bundle
from edgeflow.bundles.trust import admit, check_expiry, is_new_here, note_as_run, open_admitted
from edgeflow.bundles.version_record import read_installed
from edgeflow.config.box import TrustConfig
from edgeflow.contracts.messages import Alarm
from edgeflow.errors import IntegrityError, StorageError, UsageError
from edgeflow.security.keys import new_key
from simulators.small_bundle import small_bundle

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
OURS = Ed25519PrivateKey.from_private_bytes(b"1" * 32)


class Told:
    """Names of the alarms that were published."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:  # noqa: ARG002 - an AlarmSink
        self.names.append(name)


def refusal(path: Path, trust: TrustConfig | None, now: datetime = NOW) -> str:
    with pytest.raises(IntegrityError) as caught:
        open_admitted(path, trust, now)
    assert caught.value.exit_code == 5
    return str(caught.value)


def admitted(path: Path, trust: TrustConfig | None, now: datetime = NOW) -> None:
    open_admitted(path, trust, now).close()


def ran(path: Path, trust: TrustConfig) -> None:
    """As if the box had proven the bundle and run it."""
    with open_admitted(path, trust, NOW) as bundle:
        note_as_run(bundle, trust)


def test_without_trust_section_an_unsigned_bundle_runs(tmp_path: Path) -> None:
    admitted(small_bundle(tmp_path / "b", version=3, device_class="n100"), None)


def test_only_what_a_trusted_key_signed_runs(tmp_path: Path) -> None:
    pair = new_key(tmp_path / "line", None)
    trust = TrustConfig(keys=(pair.public,))
    assert "not signed" in refusal(small_bundle(tmp_path / "b"), trust)
    assert f"trusted are {pair.id}" in refusal(small_bundle(tmp_path / "b", signer=OURS), trust)


def test_key_file_that_is_none_is_named(tmp_path: Path) -> None:
    pair = new_key(tmp_path / "line", None)
    bundle = small_bundle(tmp_path / "b")
    (tmp_path / "text.pem").write_text("no key")
    for file, reason in (
        (pair.private, "a private key; a box needs the .pub.pem file"),
        (tmp_path / "text.pem", "not a public key in PEM form"),
        (tmp_path / "none.pem", "cannot be read"),
    ):
        with pytest.raises(UsageError, match=reason) as caught:
            open_admitted(bundle, TrustConfig(keys=(file,)), NOW)
        assert caught.value.exit_code == 2
        assert str(file) in str(caught.value)


def test_expired_bundle_is_refused_with_or_without_trust_section(tmp_path: Path) -> None:
    path = small_bundle(tmp_path / "b", expires="2026-06-01T14:00:00+02:00")
    assert "expired at 2026-06-01T14:00:00+02:00" in refusal(path, None)
    assert "check this computer's clock" in refusal(path, TrustConfig())
    admitted(path, TrustConfig(), NOW - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("bundle", "box", "runs"),
    [("n100", "n100", True), (None, "n100", True), ("n100", None, True), ("ultra", "n100", False)],
)
def test_bundle_for_another_device_class_is_refused(
    tmp_path: Path, bundle: str | None, box: str | None, runs: bool
) -> None:
    path = small_bundle(tmp_path / "b", device_class=bundle)
    trust = TrustConfig(device_class=box)
    if runs:
        admitted(path, trust)
    else:
        assert "made for device class 'ultra', this box is 'n100'" in refusal(path, trust)


def test_a_box_goes_forward_only_unless_told_otherwise(tmp_path: Path) -> None:
    trust = TrustConfig(installed=tmp_path / "state" / "installed.json")
    old, new = (small_bundle(tmp_path / f"v{n}", version=n) for n in (6, 7))
    ran(old, trust)
    ran(new, trust)
    text = refusal(old, trust)
    assert "bracket version 6 is older than version 7, which this box has run" in text
    assert "trust.allow_older: true" in text
    admitted(new, trust)
    ran(old, trust.model_copy(update={"allow_older": True}))
    assert "older than version 7" in refusal(old, trust)  # going back once does not lower the mark


def test_products_have_versions_of_their_own(tmp_path: Path) -> None:
    trust = TrustConfig(installed=tmp_path / "installed.json")
    ran(small_bundle(tmp_path / "a", version=7), trust)
    other = trust.model_copy(update={"product": "another"})
    ran(small_bundle(tmp_path / "b", name="another", version=1), other)
    back = trust.model_copy(update={"product": "bracket"})
    assert "older than version 7" in refusal(small_bundle(tmp_path / "c", version=6), back)
    admitted(tmp_path / "a", back)


def test_the_first_product_that_ran_is_the_only_one_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trust = TrustConfig(installed=tmp_path / "installed.json")
    told = Told()
    alarms = Alarms("s", told)
    ours = small_bundle(tmp_path / "a", version=7)
    for _ in range(2):
        with open_admitted(ours, trust, NOW) as bundle:
            note_as_run(bundle, trust, alarms)
    assert told.names == ["product_unpinned"]
    assert caplog.text.count("the first bundle that ran here is of product 'bracket'; those") == 1
    text = refusal(small_bundle(tmp_path / "b", name="gasket", version=9), trust)
    assert "of product 'gasket', this box inspects 'bracket'" in text
    assert "set trust.product: gasket" in text


def test_the_product_of_the_box_file_stands_over_what_ran(tmp_path: Path) -> None:
    trust = TrustConfig(installed=tmp_path / "installed.json", product="bracket")
    other = small_bundle(tmp_path / "b", name="gasket")
    assert "inspects 'bracket' (trust.product)" in refusal(other, trust)
    told = Told()
    with open_admitted(small_bundle(tmp_path / "a"), trust, NOW) as bundle:
        note_as_run(bundle, trust, Alarms("s", told))
    assert told.names == []
    admitted(other, trust.model_copy(update={"product": "gasket"}))


def test_a_record_of_before_products_were_noted_names_the_one_that_ran(tmp_path: Path) -> None:
    entry = {"version": 3, "sha256": "0" * 64}
    record = tmp_path / "installed.json"
    trust = TrustConfig(installed=record)
    record.write_text(json.dumps({"schema": "edgeflow/installed/1", "bundles": {"bracket": entry}}))
    assert "inspects 'bracket'" in refusal(small_bundle(tmp_path / "b", name="gasket"), trust)
    both = {"bracket": entry, "gasket": entry}
    record.write_text(json.dumps({"schema": "edgeflow/installed/1", "bundles": both}))
    ran(small_bundle(tmp_path / "c", name="gasket", version=3), trust)  # of several, nobody knows
    assert "inspects 'gasket'" in refusal(small_bundle(tmp_path / "d", version=3), trust)


def test_a_mistaken_version_is_refused_and_an_admitted_one_can_be_forgotten(tmp_path: Path) -> None:
    trust = TrustConfig(installed=tmp_path / "installed.json")
    ran(small_bundle(tmp_path / "v5", version=5), trust)
    assert "over trust.max_version 100000000000000" in refusal(
        small_bundle(tmp_path / "vmax", version=2**53), trust
    )
    highest = trust.max_version
    ran(small_bundle(tmp_path / "high", version=highest), trust)
    six = small_bundle(tmp_path / "v6", version=6)
    assert "set trust.max_version below it" in refusal(six, trust)
    lower = trust.model_copy(update={"max_version": highest - 1})
    ran(six, lower)
    admitted(six, trust)  # forgotten for good
    assert "older than version 6" in refusal(tmp_path / "v5", trust)


def test_everything_that_stands_against_a_bundle_is_said_at_once(tmp_path: Path) -> None:
    trust = TrustConfig(installed=tmp_path / "installed.json", device_class="n100")
    ran(small_bundle(tmp_path / "a", version=7), trust)
    bad = small_bundle(tmp_path / "b", version=6, device_class="ultra", expires="2026-01-01T00:00:00Z")
    with Bundle.open(bad) as bundle, pytest.raises(IntegrityError) as caught:
        admit(bundle, trust, NOW)
    assert len(caught.value.problems) == 3


def test_bundle_is_new_to_a_box_until_it_has_run(tmp_path: Path) -> None:
    trust = TrustConfig(installed=tmp_path / "installed.json")
    with Bundle.open(small_bundle(tmp_path / "b")) as bundle:
        assert is_new_here(bundle, trust)
        assert not is_new_here(bundle, None)
        note_as_run(bundle, trust)
        assert not is_new_here(bundle, trust)
    with Bundle.open(small_bundle(tmp_path / "b", version=1)) as bundle:
        assert is_new_here(bundle, trust)


def test_restart_writes_nothing(tmp_path: Path) -> None:
    trust = TrustConfig(installed=tmp_path / "installed.json")
    path = small_bundle(tmp_path / "b", version=2)
    ran(path, trust)
    before = (tmp_path / "installed.json").stat()
    ran(path, trust)
    assert (tmp_path / "installed.json").stat().st_mtime_ns == before.st_mtime_ns
    assert sorted(file.name for file in tmp_path.iterdir()) == ["b", "installed.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"bundles": {"bracket": {"version": -1}}}'])
def test_damaged_record_is_not_taken_for_an_empty_one(tmp_path: Path, content: bytes) -> None:
    record = tmp_path / "installed.json"
    record.write_bytes(content)
    path = small_bundle(tmp_path / "b")
    with pytest.raises(StorageError, match="restore it, or remove it") as caught:
        open_admitted(path, TrustConfig(installed=record), NOW)
    assert caught.value.exit_code == 6
    assert read_installed(tmp_path / "none.json") == {}


def test_record_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    trust = TrustConfig(installed=tmp_path / "file" / "installed.json")
    with Bundle.open(small_bundle(tmp_path / "b")) as bundle, pytest.raises(StorageError):
        note_as_run(bundle, trust)


def test_a_box_without_a_record_keeps_none(tmp_path: Path) -> None:
    with Bundle.open(small_bundle(tmp_path / "b")) as bundle:
        for trust in (None, TrustConfig()):
            note_as_run(bundle, trust)
            assert not is_new_here(bundle, trust)
    assert [file.name for file in tmp_path.iterdir()] == ["b"]


def test_the_time_of_a_running_bundle_ends_at_its_moment(tmp_path: Path) -> None:
    path = small_bundle(tmp_path / "b", expires="2026-06-01T12:00:00Z")
    with Bundle.open(path) as bundle:
        check_expiry(bundle, NOW - timedelta(microseconds=1))
        with pytest.raises(IntegrityError, match=f"{path}: expired at 2026-06-01T12:00:00"):
            check_expiry(bundle, NOW)
    with Bundle.open(small_bundle(tmp_path / "c")) as bundle:
        check_expiry(bundle, NOW)


def runs_for(path: Path, trust: TrustConfig, product: str) -> str:
    """Run a bundle for a product; return why it is refused, or nothing."""
    try:
        bundle = open_admitted(path, trust, NOW, product)
    except IntegrityError as error:
        return str(error)
    with bundle:
        note_as_run(bundle, trust, product=product)
        assert not is_new_here(bundle, trust, product)
    return ""


def test_each_product_keeps_its_name_and_its_versions_and_none_goes_back_behind_the_box(
    tmp_path: Path,
) -> None:
    record = tmp_path / "installed.json"
    trust = TrustConfig(installed=record)
    one, two, three = (small_bundle(tmp_path / f"{v}", version=v) for v in (1, 2, 3))
    gasket = small_bundle(tmp_path / "gasket", name="gasket", version=1)
    ran(two, trust)
    before = record.read_bytes()
    assert b"products" not in before, "a box with one bundle writes what it always wrote"
    assert "older than version 2" in runs_for(one, trust, "A"), "products open no way back"
    assert runs_for(two, trust, "A") == ""
    assert runs_for(three, trust, "B") == ""
    assert runs_for(two, trust, "A") == "", "B's version is not A's"
    assert "older than version 3" in runs_for(two, trust, "B")
    assert "product 'A' runs bundles of the name 'bracket'" in runs_for(gasket, trust, "A")
    assert runs_for(gasket, trust, "C") == ""
    assert read_installed(record)["bracket"].version == 2, "what ran before there were products stays"
    assert runs_for(gasket, trust.model_copy(update={"product": "gasket"}), "A") == ""
