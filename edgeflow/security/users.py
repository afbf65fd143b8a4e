"""Users of the page and of OPC UA: names, roles and hashed passwords in one file."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from edgeflow.errors import StorageError, UsageError
from edgeflow.files import replace_atomically

__all__ = ["ROLES", "Role", "User", "Users", "add_user", "remove_user"]

Role = Literal["viewer", "operator", "engineer"]
"""Each may what the one before it may: look; start, stop and judge parts; exchange bundles."""

ROLES: tuple[Role, ...] = get_args(Role)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_LEAST = 8
# OWASP's second choice: a box has its processor for parts. One at a time, see Users.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_UNKNOWN = _HASHER.hash("somebody who is not there takes as long")


@dataclass(frozen=True, kw_only=True)
class User:
    """One user of the box."""

    name: str
    role: Role
    password: str


class Users:
    """The users in a file, read again when it changes. Any thread may ask."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._users: Mapping[str, User] = {}
        self._one_at_a_time = threading.Lock()

    def all(self) -> Mapping[str, User]:
        """Return the users by name; empty where there is no file.

        Raises:
            StorageError: the file cannot be read, or is none of ours.
        """
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return {}
        except OSError as cause:
            raise StorageError(f"{self._path}: cannot be read: {cause.strerror}; check its rights") from cause
        seen = (stat.st_mtime_ns, stat.st_ino)
        if seen != self._seen:
            self._users = _read(self._path)
            self._seen = seen
        return self._users

    def check(self, name: str, password: str) -> User | None:
        """Return the user whose password this is; None otherwise, after the same time for every name."""
        user = self.all().get(name)
        with self._one_at_a_time:  # many at once must not take the box's memory and processor
            try:
                _HASHER.verify(user.password if user else _UNKNOWN, password)
            except (VerificationError, InvalidHashError):
                return None
        return user


def add_user(path: Path, name: str, role: Role, password: str) -> None:
    """Add a user, or give one another role and password.

    Raises:
        UsageError: the name or the password cannot be used.
        StorageError: the file cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name[:80]!r}: a name has up to 64 letters, digits, . _ @ or -")
    if len(password) < _LEAST:
        raise UsageError(f"the password has {len(password)} characters; at least {_LEAST} are needed")
    users = dict(Users(path).all())
    users[name] = User(name=name, role=role, password=_HASHER.hash(password))
    _write(path, users)


def remove_user(path: Path, name: str) -> None:
    """Remove a user; open pages of the user end with the next request.

    Raises:
        UsageError: there is no such user.
        StorageError: the file cannot be written.
    """
    users = dict(Users(path).all())
    if users.pop(name, None) is None:
        raise UsageError(f"{path}: has no user {name[:80]!r}; it has: {', '.join(users) or 'none'}")
    _write(path, users)


def _read(path: Path) -> dict[str, User]:
    try:
        document = json.loads(path.read_bytes())
        found = {
            name: User(name=name, role=entry["role"], password=entry["password"])
            for name, entry in document["users"].items()
        }
    except OSError as cause:
        raise StorageError(f"{path}: cannot be read: {cause.strerror}; check its rights") from cause
    except (ValueError, KeyError, TypeError, AttributeError) as cause:
        raise StorageError(
            f"{path}: is not a file of users; remove it, and add them again with 'edgeflow web --add-user'"
        ) from cause
    wrong = [name for name, user in found.items() if user.role not in ROLES]
    if wrong:
        raise StorageError(f"{path}: no such role for {wrong[0]!r}; roles are {', '.join(ROLES)}")
    return found


def _write(path: Path, users: Mapping[str, User]) -> None:
    document = {"users": {name: {"role": u.role, "password": u.password} for name, u in users.items()}}
    try:
        with replace_atomically(path) as file:
            path.with_name(path.name + ".partial").chmod(0o600)
            file.write(json.dumps(document, indent=1).encode() + b"\n")
    except OSError as cause:
        raise StorageError(f"{path}: cannot be written: {cause.strerror}; check its rights") from cause
