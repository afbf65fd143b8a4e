"""The page of a running box: what it shows and does, and what it refuses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from edgeflow.commands.audit_log import read_audit
from edgeflow.commands.watch import watch
from edgeflow.config.box import load_config
from edgeflow.errors import UsageError
from edgeflow.security.users import add_user, remove_user
from edgeflow.web.pages.line import PacedParts
from edgeflow.web.settings import page_settings
from simulators.small_box import write_box
from tests.edgeflow.web.conftest import Page, served
from tests.support.certificates import Authority
from tests.support.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.xdist_group("page")

PICTURES = "/line/picture/"
STATIC = Path(__file__).parents[3] / "edgeflow/web/static"


def test_the_line_shows_state_parts_and_pictures(page: Page) -> None:
    wait_until(lambda: "/line/picture/" in page.client.get("/line").text)
    text = page.client.get("/line").text
    assert 'class="state ContinuousExecution"' in text
    assert re.search(r'class="verdict (OK|NG|UNDECIDED)"', text)
    pictures = re.findall(r'src="(/line/picture/[^"]+/(?:image|heat))"', text)
    assert len(pictures) == 4  # two views, image and heat map
    answer = page.client.get(pictures[0])
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content[:2] == b"\xff\xd8"


def test_cameras_have_figures_beside_those_of_the_golden_images(page: Page) -> None:
    wait_until(lambda: "golden images" in page.client.get("/cameras").text)


def test_parts_are_sent_as_they_come(page: Page) -> None:
    names: list[str] = []
    with page.client.stream("GET", "/line/events", timeout=PATIENCE_S) as events:
        for line in events.iter_lines():
            if line.startswith("event: "):
                names.append(line.removeprefix("event: "))
            if names.count("verdict") > 2:
                break
    assert {"verdict", "figures", "state", "views", "strip"} <= set(names)


def test_buttons_command_the_box_in_the_users_name(page: Page, box: Path) -> None:
    token = page.csrf()
    assert "Ready" in page.client.post("/command/stop", headers=token).text
    wait_until(lambda: 'class="state Ready"' in page.client.get("/line").text)
    assert "ContinuousExecution" in page.client.post("/command/start", headers=token).text
    assert (
        "version 2" in page.client.post("/command/reload", headers=token, data={"bundle": "two.bundle"}).text
    )
    assert "version 1" in page.client.post("/command/rollback", headers=token).text
    outside = page.client.post("/command/reload", headers=token, data={"bundle": "../../etc/passwd"}).text
    assert "Refused" in outside
    records = read_audit(load_config(box).audit_path, 20)
    assert {record["verb"] for record in records} >= {"stop", "start", "reload", "rollback"}
    assert all(record["source"].endswith("for user 'local'") for record in records)
    assert page.client.post("/command/recalibrate", headers=token).status_code == 404


def test_forged_requests_change_nothing(page: Page) -> None:
    token = page.csrf()
    forged = [
        {},
        {"x-csrf-token": "guessed"},
        {**token, "origin": "https://elsewhere.example"},
        {**token, "origin": "null"},
        {**token, "sec-fetch-site": "cross-site"},
        {**token, "sec-fetch-site": "same-site"},
    ]
    for headers in forged:
        assert page.client.post("/command/stop", headers=headers).status_code == 403
    rebound = page.client.get("/line", headers={"host": "elsewhere.example"})
    assert rebound.status_code == 421
    assert page.client.get("/command/stop").status_code == 405
    large = page.client.post("/command/stop", headers=token, content=b"x" * 70_000)
    assert large.status_code == 413
    assert page.client.get("/language?to=de&next=//elsewhere.example").headers["location"] == "/"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/line/picture/../../etc/passwd",
        "/line/picture/%2e%2e%2f%2e%2e/top/image",
        f"/line/picture/{'x' * 4096}/top/image",
        "/line/picture/größe/top/image",
        "/line/picture/a/top/image%00",
        "/nothing",
    ],
)
def test_odd_paths_find_nothing(page: Page, path: str) -> None:
    answer = page.client.get(path)
    assert answer.status_code == 404
    assert "import" not in answer.text


def test_the_line_goes_before_the_page(page: Page) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, page.process.pid) == min(19, own + 10)


@pytest.mark.parametrize(("look_s", "made"), [(60.0, 1), (0.0, 10)])
def test_ten_browsers_of_one_language_get_what_was_made_once(
    look_s: float, made: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeflow.web.pages.line._LOOK_S", look_s)
    languages: list[str] = []

    def rendered(language: str) -> tuple[int, dict[str, str]]:
        languages.append(language)
        return len(languages), {"state": language}

    paced = PacedParts(rendered)
    seen = [paced.latest("de") for _ in range(10)]
    assert seen[0] == (1, {"state": "de"})
    assert len(languages) == made
    assert paced.latest("en")[1] == {"state": "en"}


def _has_a_picture(page: Page) -> bool:
    """Pictures are kept of the latest parts alone, and parts follow each other fast."""
    found = re.search(rf'src="({PICTURES}[^"]+)"', page.client.get("/line").text)
    return found is not None and page.client.get(found[1]).status_code == 200


def test_a_page_loads_nothing_from_elsewhere_and_runs_nothing_inline(page: Page) -> None:
    answer = page.client.get("/line")
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'")
    assert not re.search(r"<script(?![^>]*src=)|\son\w+=|\sstyle=|<style", answer.text)
    for found in re.findall(r'(?:src|href)="([^"]+)"', answer.text):
        assert found.startswith("/"), found
        if not found.startswith(PICTURES):
            assert page.client.get(found, follow_redirects=True).status_code == 200, found
    wait_until(lambda: _has_a_picture(page))
    assert not re.search(
        r"https?://|@import|url\(", (STATIC / "page.css").read_text() + (STATIC / "page.js").read_text()
    )


def test_german_where_the_browser_wants_it_and_where_somebody_chose_it(page: Page) -> None:
    with httpx.Client(base_url=page.address, timeout=PATIENCE_S, trust_env=False) as client:
        german = client.get("/line", headers={"accept-language": "de-DE,de;q=0.9"}).text
        assert '<html lang="de">' in german
        assert "Quittieren" in german
        assert "Reset" in client.get("/line").text
        client.get("/language?to=de")
        assert "Quittieren" in client.get("/line").text


def test_users_have_to_log_in_and_may_what_their_role_says(box: Path, tmp_path: Path) -> None:
    file = tmp_path / "users.json"
    users = ["--set", f"web.users={file}"]
    add = [
        sys.executable,
        "-m",
        "edgeflow.cli",
        "web",
        str(box),
        *users,
        "--add-user",
        "eva",
        "--role",
        "engineer",
    ]
    subprocess.run(add, input="correct horse\n", text=True, check=True, capture_output=True)
    add_user(file, "vera", "viewer", "correct horse")
    add_user(file, "otto", "operator", "correct horse")
    assert file.stat().st_mode & 0o777 == 0o600
    assert "correct horse" not in file.read_text()
    authority = Authority(tmp_path)
    signed = authority.sign("127.0.0.1")
    encrypted = ["--set", f"web.certificate={signed}", "--set", f"web.key={signed}"]
    with served(box, *users, *encrypted, trusted=authority.ca) as page:
        assert page.address.startswith("https://")
        assert (
            page.client.get("/line", headers={"accept": "text/html"}).headers["location"]
            == "/login?next=/line"
        )
        assert page.client.get("/line/events").status_code == 401
        assert page.client.post("/command/stop").status_code == 401
        allowed = {"vera": [], "otto": ["stop", "start"], "eva": ["stop", "start", "rollback"]}
        for name, verbs in allowed.items():
            entered = page.client.post(
                "/login", data={"name": name, "password": "correct horse", "next": "/line"}
            )
            assert entered.headers["location"] == "/line"
            cookie = entered.headers["set-cookie"].lower()
            assert "httponly" in cookie
            assert "secure" in cookie
            assert "samesite=strict" in cookie
            token = page.csrf()
            for verb in ("stop", "start", "rollback"):
                expected = 200 if verb in verbs else 403
                assert page.client.post(f"/command/{verb}", headers=token).status_code == expected
        records = read_audit(load_config(box).audit_path, 20)
        assert records[-1]["source"].endswith("for user 'eva'")
        remove_user(file, "eva")
        assert page.client.get("/line/events").status_code == 401
        _try_a_hundred_wrong_passwords(page)


def _try_a_hundred_wrong_passwords(page: Page) -> None:
    def enter(password: str) -> httpx.Response:
        return page.client.post("/login", data={"name": "otto", "password": password})

    assert [enter(f"wrong {number}").status_code for number in range(100)] == [403] * 5 + [429] * 95
    late = enter("correct horse")
    assert late.status_code == 429
    assert int(late.headers["retry-after"]) <= 61


def test_a_box_that_does_not_run_is_said_in_plain_words(tmp_path: Path) -> None:
    with served(write_box(tmp_path, 1)) as page:
        wait_until(lambda: "no box runs there" in page.client.get("/line").text)
        answer = page.client.post("/command/start", headers=page.csrf())
        assert "no box runs there" in answer.text


@pytest.mark.parametrize(
    ("listen", "why"),
    [
        ("0.0.0.0:80", "without users"),
        ("nonsense", "give an address"),
        ("127.0.0.1:99999", "give an address"),
        (":80", "give an address"),
    ],
)
def test_no_page_is_open_to_others_by_accident(tmp_path: Path, listen: str, why: str) -> None:
    config = load_config(write_box(tmp_path, 1))
    with pytest.raises(UsageError, match=why):
        page_settings(config, listen)
    assert page_settings(config, "[::1]:80").host == "::1"


def test_users_alone_do_not_open_a_page_without_encryption(tmp_path: Path) -> None:
    config = load_config(write_box(tmp_path, 1))
    add_user(config.web_users_path, "eva", "engineer", "correct horse")
    with pytest.raises(UsageError, match="without encryption"):
        page_settings(config, "0.0.0.0:80")


_WATCHER = """
import os, socket, sys
folder = os.open(sys.argv[1], os.O_RDONLY)
connection = socket.socket(socket.AF_UNIX)
connection.connect(f"/proc/self/fd/{folder}/outbox.sock")
connection.sendall(b'{"verb": "watch"}\\n')
print(len(connection.recv(1000)), flush=True)
while True:
    connection.recv(100_000)
"""


def _watched(socket: Path, hello: list[dict[str, Any]]) -> bool:
    """Return False while watchers that are gone still count: the box notices with the next line to them."""
    try:
        hello.append(next(watch(socket)))
    except UsageError:
        return False
    return True


def test_watchers_that_are_killed_cost_no_part(page: Page, box: Path) -> None:
    """The page itself, once; then what the box sees of a page, twenty times."""
    killed = Page(box)
    killed.client.get("/line")
    killed.process.kill()
    killed.process.communicate()
    killed.client.close()
    socket = load_config(box).control_socket
    for _ in range(20):
        command = [sys.executable, "-S", "-c", _WATCHER, str(socket.parent)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as watcher:
            assert watcher.stdout is not None
            assert int(watcher.stdout.readline()) > 0
            watcher.kill()
    hello: list[dict[str, Any]] = []
    wait_until(lambda: _watched(socket, hello))
    results = hello[0]["results"]
    first = results[0]["seq"]
    assert [result["seq"] for result in results] == list(range(first, first + len(results)))
    assert {result["reason_code"] for result in results} <= {"ok", "defect", "stopped"}
    assert 'class="offline"' not in page.client.get("/line").text
