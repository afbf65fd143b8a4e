"""A box looks at repositories that lie: about time, version, size, content; and at one whose keys change."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edgeflow.clock import utc_now
from edgeflow.config.updates.fleet import FleetConfig
from edgeflow.errors import EdgeflowError, IntegrityError, StorageError, UsageError
from edgeflow.fleet.client import FleetClient
from edgeflow.fleet.rollout import Release, wanted_release
from edgeflow.security.keys import read_private_key
from simulators.fleet_repository import Publisher, nginx
from simulators.small_bundle import small_bundle

needs_nginx = pytest.mark.skipif(shutil.which("nginx", path="/usr/sbin:/usr/bin") is None, reason="no nginx")


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(root=tmp_path / "office")


@pytest.fixture
def root(publisher: Publisher, tmp_path: Path) -> Path:
    """The first root, as it came to the box."""
    return Path(shutil.copy(publisher.first_root, tmp_path / "root.json"))


def client(tmp_path: Path, repository: str | Path, **changes: object) -> FleetClient:
    config = FleetConfig.model_validate(
        {"repository": repository, "root": tmp_path / "root.json", "group": "canary", **changes}
    )
    return FleetClient(config, tmp_path / "box")


def version_of(found: FleetClient) -> int:
    release = wanted_release(found.look(utc_now()).rollout, "canary")
    assert release is not None
    return release.version


@pytest.fixture(params=["folder", pytest.param("nginx", marks=needs_nginx)])
def address(request: pytest.FixtureRequest, publisher: Publisher, tmp_path: Path) -> Iterator[str | Path]:
    if request.param == "folder":
        yield publisher.path
        return
    with nginx(publisher.path, tmp_path / "nginx") as url:
        yield url


def test_a_release_is_found_and_downloaded_whole(
    publisher: Publisher, root: Path, address: str | Path, tmp_path: Path
) -> None:
    release = publisher.publish(2)
    box = client(tmp_path, address)
    assert version_of(box) == 2
    box.download(release, tmp_path / "taken.bundle")
    assert (tmp_path / "taken.bundle").read_bytes() == (publisher.root / "bracket-2.bundle").read_bytes()
    publisher.publish(3)
    assert version_of(box) == 3


def test_a_download_that_was_cut_off_goes_on_where_it_was(
    publisher: Publisher, root: Path, address: str | Path, tmp_path: Path
) -> None:
    release = publisher.publish(2)
    whole = (publisher.root / "bracket-2.bundle").read_bytes()
    box = client(tmp_path, address)
    box.look(utc_now())
    partial = tmp_path / ".taken.bundle.part"
    partial.write_bytes(whole[: len(whole) // 2])
    box.download(release, tmp_path / "taken.bundle")
    assert (tmp_path / "taken.bundle").read_bytes() == whole
    for wrong in (b"\0" * 100, whole + b"more"):  # of something else: fetched anew
        partial.write_bytes(wrong)
        for _ in range(2):
            try:
                box.download(release, tmp_path / "again.bundle")
                break
            except IntegrityError:
                assert not partial.exists()
        assert (tmp_path / "again.bundle").read_bytes() == whole


def test_a_repository_that_goes_back_in_time_is_refused_and_what_was_trusted_stays(
    publisher: Publisher, root: Path, tmp_path: Path
) -> None:
    publisher.publish(2)
    old = publisher.copied("old")
    publisher.publish(3)
    assert version_of(client(tmp_path, publisher.path)) == 3
    with pytest.raises(IntegrityError, match="older than what this box has trusted"):
        client(tmp_path, old).look(utc_now())
    assert version_of(client(tmp_path, publisher.path)) == 3


def test_a_repository_that_stands_still_is_told_once_it_has_expired(
    publisher: Publisher, root: Path, tmp_path: Path
) -> None:
    publisher.publish(2, now=utc_now() - timedelta(days=20))
    with pytest.raises(IntegrityError, match="stands still, or this box's clock is wrong"):
        client(tmp_path, publisher.path).look(utc_now())
    publisher.at().refresh(publisher.keys)
    assert version_of(client(tmp_path, publisher.path)) == 2


def test_a_clock_that_is_behind_what_was_signed_is_told(
    publisher: Publisher, root: Path, tmp_path: Path
) -> None:
    publisher.publish(2)
    with pytest.raises(IntegrityError, match="set the clock"):
        client(tmp_path, publisher.path).look(utc_now() - timedelta(days=9000))


def test_metadata_of_two_moments_do_not_mix(publisher: Publisher, root: Path, tmp_path: Path) -> None:
    publisher.publish(2)
    old = publisher.copied("old")
    publisher.publish(3)
    mixed = publisher.copied("mixed")
    names = sorted(file.name for file in (mixed / "metadata").glob("*.targets.json"))
    shutil.copy(old / "metadata" / names[0], mixed / "metadata" / names[-1])
    with pytest.raises(IntegrityError):
        client(tmp_path, mixed).look(utc_now())


@pytest.mark.parametrize("missing", ["targets.json", "snapshot.json", "rollout.json"])
def test_a_repository_that_is_uploaded_by_half_is_told_and_taken_later(
    publisher: Publisher, root: Path, tmp_path: Path, missing: str
) -> None:
    publisher.publish(2)
    assert version_of(client(tmp_path, publisher.path)) == 2
    publisher.publish(3)
    half = publisher.copied("half")
    newest = max(half.rglob(f"*{missing}"), key=lambda file: file.stat().st_mtime_ns)
    newest.unlink()
    with pytest.raises(StorageError, match="uploaded by half"):
        client(tmp_path, half).look(utc_now())
    assert version_of(client(tmp_path, publisher.path)) == 3


def test_a_bundle_that_is_exchanged_in_the_repository_is_not_kept(
    publisher: Publisher, root: Path, tmp_path: Path
) -> None:
    release = publisher.publish(2)
    box = client(tmp_path, publisher.path)
    box.look(utc_now())
    (there,) = (publisher.path / "targets" / "bundles").iterdir()
    size = there.stat().st_size
    for data in (b"\0" * size, b"\0" * (size + 1), there.read_bytes()[:-1]):
        there.write_bytes(data)
        with pytest.raises(EdgeflowError, match="do not belong together"):
            box.download(release, tmp_path / "taken.bundle")
        assert not (tmp_path / "taken.bundle").exists()


def test_a_bundle_that_is_larger_than_allowed_is_not_begun(
    publisher: Publisher, root: Path, tmp_path: Path
) -> None:
    release = publisher.publish(2)
    box = client(tmp_path, publisher.path, max_mb=0.001)
    box.look(utc_now())
    with pytest.raises(IntegrityError, match=r"fleet\.max_mb"):
        box.download(release, tmp_path / "taken.bundle")
    assert not (tmp_path / ".taken.bundle.part").exists()


@pytest.mark.parametrize("role", ["root", "targets", "snapshot", "timestamp"])
def test_boxes_follow_a_key_that_was_replaced_and_the_old_one_counts_no_more(
    publisher: Publisher, root: Path, tmp_path: Path, role: str
) -> None:
    publisher.publish(2)
    assert version_of(client(tmp_path, publisher.path)) == 2
    old_keys = publisher.root / "old-keys"
    shutil.copytree(publisher.root / "keys", old_keys)
    publisher.at().rotate(role, publisher.keys)
    assert version_of(client(tmp_path, publisher.path)) == 2
    publisher.publish(3)
    assert version_of(client(tmp_path, publisher.path)) == 3
    if role != "root":
        from edgeflow.fleet.metadata import Keys

        stolen = Keys(old_keys, None)
        with pytest.raises(UsageError, match=f"0 of the 1 keys of role '{role}'"):
            publisher.at().publish(publisher.bundle(4), publisher.at().rollout().releases[0].bounds, stolen)


def test_one_root_key_alone_changes_nothing(publisher: Publisher) -> None:
    from edgeflow.fleet.metadata import Keys

    for name in ("root-1", "root-2"):
        (publisher.root / "keys" / f"{name}.key.pem").unlink()
    with pytest.raises(UsageError, match="1 of the 2 keys of role 'root'"):
        publisher.at().rotate("targets", Keys(publisher.root / "keys", None))


def test_a_stranger_s_repository_is_refused(publisher: Publisher, root: Path, tmp_path: Path) -> None:
    stranger = Publisher(root=tmp_path / "stranger")
    stranger.publish(9)
    with pytest.raises(IntegrityError, match="not signed by enough of the trusted keys"):
        client(tmp_path, stranger.path).look(utc_now())


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b"\xff" * 100, b"[" * 100_000])
def test_damaged_metadata_is_told(publisher: Publisher, root: Path, tmp_path: Path, data: bytes) -> None:
    publisher.publish(2)
    (publisher.path / "metadata" / "timestamp.json").write_bytes(data)
    with pytest.raises(EdgeflowError):
        client(tmp_path, publisher.path).look(utc_now())


def test_what_cannot_be_published_says_why(publisher: Publisher, tmp_path: Path) -> None:
    release = publisher.publish(2)
    bounds = release.bounds
    with pytest.raises(UsageError, match="published already"):
        publisher.publish(2)
    unsigned = small_bundle(tmp_path / "u.bundle", version=5)
    with pytest.raises(IntegrityError, match="not signed"):
        publisher.at().publish(unsigned, bounds, publisher.keys)
    publisher.at().revoke(release.id, publisher.keys)
    with pytest.raises(UsageError, match="was revoked"):
        publisher.publish(2)
    with pytest.raises(UsageError, match="is a repository already"):
        publisher.at().create(publisher.keys, publisher.groups)
    assert read_private_key(publisher.root / "signer.key.pem", None)


def test_a_repository_that_nobody_brought_is_told(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is the stick in its place"):
        client(tmp_path, tmp_path / "media").look(utc_now())
    with pytest.raises(StorageError, match="it is tried again"):
        client(tmp_path, "http://127.0.0.1:9").look(utc_now())
    (tmp_path / "root.json").unlink()
    with pytest.raises(UsageError, match=r"fleet\.root"):
        client(tmp_path, "http://127.0.0.1:9").look(utc_now())


def test_the_document_is_plain_for_other_programs(publisher: Publisher) -> None:
    publisher.publish(2)
    (file,) = [
        one
        for one in (publisher.path / "targets").glob("*.rollout.json")
        if json.loads(one.read_text())["releases"]
    ]
    assert json.loads(file.read_text())["schema"] == "edgeflow/rollout/1"


class LyingServer(ThreadingHTTPServer):
    """Serves a folder, but lies about the size of files whose path holds a word.

    Attributes:
        kind: ``endless``: it never stops sending; ``cut``: it ends in the middle of what it has promised.
        sent: bytes of the lies.
    """

    daemon_threads = True

    def __init__(self, folder: Path, word: str, kind: str) -> None:
        super().__init__(("127.0.0.1", 0), _LyingHandler)
        self.folder, self.word, self.kind, self.sent = folder, word, kind, 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """A client that goes is what is asked for."""


class _LyingHandler(BaseHTTPRequestHandler):
    server: LyingServer

    def do_GET(self) -> None:
        path = self.server.folder / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        lies = self.server.word in self.path
        kind = self.server.kind if lies else ""
        self.send_response(200)
        if kind != "endless":
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if kind == "cut" else data)
        while kind == "endless" and self.server.sent < 100_000_000:
            self.wfile.write(b" " * 65_536)
            self.server.sent += 65_536

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


def look_and_download(box: FleetClient, release: Release, path: Path) -> None:
    box.look(utc_now())
    box.download(release, path)


@pytest.mark.parametrize("kind", ["endless", "cut"])
@pytest.mark.parametrize("word", ["timestamp.json", "snapshot.json", "rollout.json", ".bundle"])
def test_a_server_that_lies_about_size_is_left_at_the_size_that_was_signed(
    publisher: Publisher, root: Path, tmp_path: Path, word: str, kind: str
) -> None:
    release = publisher.publish(2)
    whole = (publisher.root / "bracket-2.bundle").read_bytes()
    with LyingServer(publisher.path, word, kind) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        box = client(tmp_path, server.url)
        with pytest.raises(EdgeflowError) as told:
            look_and_download(box, release, tmp_path / "taken.bundle")
        assert not (tmp_path / "taken.bundle").exists()
        if kind == "cut":
            assert "cut off" in str(told.value)
            assert (tmp_path / ".taken.bundle.part").exists() == (word == ".bundle"), "it goes on there"
        assert server.sent < 20_000_000, "what is in the buffers on the way, and not what it goes on sending"
        server.kind = ""
        look_and_download(client(tmp_path, server.url), release, tmp_path / "taken.bundle")
        server.shutdown()
    assert (tmp_path / "taken.bundle").read_bytes() == whole
