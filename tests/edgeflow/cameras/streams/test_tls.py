"""Encrypted streams: real TLS servers with good, foreign, wrong and expired certificates."""

from __future__ import annotations

import base64
import datetime as dt
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeflow.cameras.streams.rtsp import RtspCamera
from edgeflow.config.box import RtspConfig
from edgeflow.diagnostics.cameras.check_cameras import camera_findings
from edgeflow.errors import CameraError
from tests.support.certificates import Authority
from tests.support.fake_cameras import need
from tests.support.packages import DEBIAN_PACKAGES

SECRET = "s3cret"  # noqa: S105 - of cameras that end with the test
SERVER = Path(__file__).parents[3] / "support" / "rtsp_server.py"
PICTURE = bytes(cv2.imencode(".jpg", np.full((32, 48, 3), 200, np.uint8))[1].tobytes())


class Handler(BaseHTTPRequestHandler):
    """MJPEG for whoever asks, or a redirection; notes the credentials that it is given."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass

    def do_GET(self) -> None:
        self.server.seen.append(self.headers.get("Authorization", ""))  # type: ignore[attr-defined]
        if self.server.elsewhere:  # type: ignore[attr-defined]
            self.send_response(302)
            self.send_header("Location", self.server.elsewhere)  # type: ignore[attr-defined]
            self.end_headers()
            return
        if not self.headers.get("Authorization"):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        header = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(PICTURE)}\r\n\r\n".encode()
        with suppress(OSError):
            while True:
                self.wfile.write(header + PICTURE + b"\r\n")
                time.sleep(0.02)


class HttpsCamera:
    """A network camera with a certificate, or without one where it is None."""

    def __init__(self, certificate: Path | None, elsewhere: str = "") -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.seen: list[str] = []
        self._server.seen = self.seen  # type: ignore[attr-defined]
        self._server.elsewhere = elsewhere  # type: ignore[attr-defined]
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.port = self._server.server_port

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def https_camera(certificate: Path | None, elsewhere: str = "") -> Iterator[HttpsCamera]:
    camera = HttpsCamera(certificate, elsewhere)
    try:
        yield camera
    finally:
        camera.close()


def config(url: str, folder: Path, **settings: object) -> RtspConfig:
    (folder / "password").write_text(SECRET)
    document = {"kind": "rtsp", "url": url, "username": "box", "password_file": folder / "password"}
    return RtspConfig.model_validate({**document, "open_timeout_ms": 3000, **settings})


def opened(camera: RtspConfig) -> tuple[int, ...]:
    """The shape of the first picture."""
    driver = RtspCamera("top", camera)
    try:
        driver.open(0)
        return driver.read(1.0).image.shape
    finally:
        driver.close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_a_camera_with_a_certificate_of_a_trusted_authority_gets_its_password(
    authority: Authority, tmp_path: Path
) -> None:
    with https_camera(authority.sign("127.0.0.1")) as camera:
        trusted = config(f"https://127.0.0.1:{camera.port}/", tmp_path, tls={"ca": authority.ca})
        assert opened(trusted) == (32, 48, 3)
        assert base64.b64decode(camera.seen[-1].split()[1]).decode() == f"box:{SECRET}"
        assert [finding.state for finding in camera_findings("top", trusted)] == ["ok"]


@pytest.mark.parametrize("scheme", ["https", "rtsps"])
@pytest.mark.parametrize("fault", ["foreign authority", "other name", "expired", "unknown to the system"])
def test_a_certificate_that_cannot_be_trusted_gets_neither_password_nor_a_view(
    authority: Authority, tmp_path: Path, fault: str, scheme: str
) -> None:
    signer = Authority(tmp_path, "foreign") if fault == "foreign authority" else authority
    host = "127.0.0.9" if fault == "other name" else "127.0.0.1"
    valid = dt.timedelta(days=-1 if fault == "expired" else 1)
    tls = {} if fault == "unknown to the system" else {"tls": {"ca": authority.ca}}
    with https_camera(signer.sign(host, valid=valid)) as camera:
        doubtful = config(f"{scheme}://127.0.0.1:{camera.port}/", tmp_path, **tls)
        with pytest.raises(
            CameraError, match=r"certificate is not trusted: .*; give the certificate"
        ) as error:
            opened(doubtful)
        assert camera.seen == []
        assert SECRET not in repr(error.value) + repr(error.value.__cause__)
        finding = camera_findings("top", doubtful)[-1]
        assert finding.state == "failed"
        assert "certificate is not trusted" in finding.text


def test_a_name_counts_as_the_certificate_says_it(authority: Authority, tmp_path: Path) -> None:
    with https_camera(authority.sign("localhost")) as camera:
        url = f"https://localhost:{camera.port}/"
        assert opened(config(url, tmp_path, tls={"ca": authority.ca})) == (32, 48, 3)
        with pytest.raises(CameraError, match="certificate is not trusted"):
            opened(config(url.replace("localhost", "127.0.0.1"), tmp_path, tls={"ca": authority.ca}))


def test_the_insecure_way_is_asked_for_by_name_and_warned_of(authority: Authority, tmp_path: Path) -> None:
    with https_camera(authority.sign("evil.example")) as camera:
        careless = config(f"https://127.0.0.1:{camera.port}/", tmp_path, tls={"insecure_skip_verify": True})
        assert opened(careless) == (32, 48, 3)
        findings = camera_findings("top", careless)
    assert [finding.state for finding in findings] == ["ok", "warning"]
    assert "tls.insecure_skip_verify" in findings[1].text


def test_an_encrypted_camera_that_sends_its_viewers_elsewhere_is_not_followed_in_the_clear(
    authority: Authority, tmp_path: Path
) -> None:
    with https_camera(None) as plain:
        elsewhere = f"http://box:{SECRET}@127.0.0.1:{plain.port}/"
        with https_camera(authority.sign("127.0.0.1"), elsewhere) as camera:
            trusted = config(f"https://127.0.0.1:{camera.port}/", tmp_path, tls={"ca": authority.ca})
            with pytest.raises(CameraError, match="cannot be opened"):
                opened(trusted)
        assert plain.seen == []


def test_authorities_that_are_not_there_are_told_before_anything_is_sent(
    authority: Authority, tmp_path: Path
) -> None:
    with https_camera(authority.sign("127.0.0.1")) as camera:
        lost = config(f"https://127.0.0.1:{camera.port}/", tmp_path, tls={"ca": tmp_path / "none.pem"})
        with pytest.raises(CameraError, match=r"none\.pem holds no certificates .*check tls\.ca"):
            opened(lost)
        assert camera.seen == []


def test_settings_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        config("https://cam/", tmp_path, tls={"ca": tmp_path / "ca", "insecure_skip_verify": True})
    with pytest.raises(ValueError, match="begins with rtsps or https"):
        config("rtsp://cam/", tmp_path, tls={"ca": tmp_path / "ca"})


def test_rtsps_is_read_behind_a_certificate_that_is_trusted(authority: Authority, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": DEBIAN_PACKAGES}
    program = [sys.executable, str(SERVER), "box", SECRET]
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as server:
        assert server.stdout is not None
        port = server.stdout.readline().decode().strip()
        need(port, "no GStreamer RTSP server for this Python")
        with tls_front(authority.sign("127.0.0.1"), int(port)) as front:
            url = f"rtsps://127.0.0.1:{front}/stream"
            assert opened(config(url, tmp_path, tls={"ca": authority.ca})) == (48, 64, 3)
        server.kill()


@contextmanager
def tls_front(certificate: Path, port: int) -> Iterator[int]:
    """Takes the encryption off, as cameras do in front of their RTSP server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)

    def serve() -> None:
        with suppress(OSError):
            while True:
                outside = context.wrap_socket(front.accept()[0], server_side=True)
                inside = socket.create_connection(("127.0.0.1", port))
                for pair in ((outside, inside), (inside, outside)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as front:
        threading.Thread(target=serve, daemon=True).start()
        yield front.getsockname()[1]
