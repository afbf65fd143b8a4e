"""Sessions, attempts and users, with clocks of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.errors import StorageError, UsageError
from edgeflow.security.attempts import Attempts
from edgeflow.security.users import Users, add_user, remove_user
from edgeflow.web.security.sessions import Sessions


def test_a_session_ends_after_twelve_hours_without_use_and_when_it_is_told_to() -> None:
    now = [0.0]
    sessions = Sessions(lambda: now[0])
    token, session = sessions.begin("eva", "engineer")
    now[0] = 11 * 3600
    assert sessions.find(token) == session
    now[0] = 22 * 3600
    assert sessions.find(token) == session
    now[0] = 35 * 3600
    assert sessions.find(token) is None
    token, _ = sessions.begin("eva", "engineer")
    sessions.end(token)
    assert sessions.find(token) is None
    assert sessions.find("") is None


def test_sessions_are_bounded_and_their_tokens_differ() -> None:
    sessions = Sessions(lambda: 0.0)
    tokens = [sessions.begin("eva", "viewer")[0] for _ in range(600)]
    assert len(set(tokens)) == 600
    assert sessions.find(tokens[0]) is None
    assert sessions.find(tokens[-1]) is not None


def test_after_five_failures_a_name_or_an_address_waits_a_minute() -> None:
    attempts = Attempts()
    for second in range(5):
        assert attempts.wait_s(("name eva", "address a"), second) == 0
        attempts.failed(("name eva", "address a"), second)
    assert attempts.wait_s(("name eva", "address b"), 5) == 55
    assert attempts.wait_s(("name otto", "address a"), 5) == 55
    assert attempts.wait_s(("name otto", "address b"), 5) == 0
    assert attempts.wait_s(("name eva", "address a"), 61) == 0


def test_users_are_added_changed_checked_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    users = Users(path)
    assert users.all() == {}
    add_user(path, "eva", "viewer", "first password")
    assert users.check("eva", "first password") is not None
    add_user(path, "eva", "engineer", "second password")
    assert users.check("eva", "first password") is None
    found = users.check("eva", "second password")
    assert found is not None
    assert found.role == "engineer"
    assert users.check("otto", "second password") is None
    with pytest.raises(UsageError, match="it has: eva"):
        remove_user(path, "otto")
    remove_user(path, "eva")
    assert users.all() == {}


@pytest.mark.parametrize(
    ("name", "password", "why"),
    [("a b", "long enough", "a name has"), ("../x", "long enough", "a name"), ("eva", "short", "8")],
)
def test_names_and_passwords_have_rules(tmp_path: Path, name: str, password: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        add_user(tmp_path / "users.json", name, "viewer", password)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"users": []}',
        '{"users": {"eva": {}}}',
        '{"users": {"eva": {"role": "king", "password": "x"}}}',
    ],
)
def test_a_file_that_is_no_file_of_users_is_refused_and_not_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / "users.json"
    path.write_text(text)
    with pytest.raises(StorageError, match=r"users\.json"):
        Users(path).all()
    with pytest.raises(StorageError):
        add_user(path, "eva", "viewer", "long enough")
    assert path.read_text() == text
