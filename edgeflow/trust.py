"""Whether this box may run a bundle: signed by a trusted key, for this device, in time, not older."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from edgeflow.bundle import Bundle
from edgeflow.config import TrustConfig
from edgeflow.errors import IntegrityError
from edgeflow.installed import read_installed, remember
from edgeflow.keys import trusted_keys

__all__ = ["admit", "check_expiry", "is_new_here", "note_as_run", "open_admitted"]


def open_admitted(path: Path, trust: TrustConfig | None, now: datetime) -> Bundle:
    """Open the bundle that a box is to run; the caller closes it.

    Args:
        trust: the box's section; without one, whoever may write the file decides what runs.
        now: aware, UTC.

    Raises:
        UsageError: no such bundle, or a key file that is none.
        IntegrityError: damaged, not signed by a trusted key, or not for this box now.
        StorageError: the record of what has run cannot be read.
    """
    keys = trusted_keys(trust.keys) if trust and trust.keys else None
    bundle = Bundle.open(path, trusted=keys)
    try:
        admit(bundle, trust, now)
    except BaseException:
        bundle.close()
        raise
    return bundle


def admit(bundle: Bundle, trust: TrustConfig | None, now: datetime) -> None:
    """Refuse an opened bundle that is not for this box, expired, or older than what ran here before.

    Raises:
        IntegrityError: with everything that stands against it.
        StorageError: the record of what has run cannot be read.
    """
    problems = _expired(bundle, now)
    if trust is not None:
        problems += _other_device(bundle, trust) + _older(bundle, trust)
    if problems:
        raise IntegrityError(f"{bundle.path}: this box does not run it", problems=problems)


def check_expiry(bundle: Bundle, now: datetime) -> None:
    """Refuse a bundle whose time is over.

    Raises:
        IntegrityError: expired.
    """
    problems = _expired(bundle, now)
    if problems:
        raise IntegrityError(f"{bundle.path}: {problems[0]}")


def is_new_here(bundle: Bundle, trust: TrustConfig | None) -> bool:
    """Whether this box keeps a record of what ran, and this bundle did not run last."""
    if trust is None or trust.installed is None:
        return False
    last = read_installed(trust.installed).get(bundle.manifest.name)
    return last is None or last.sha256 != bundle.sha256


def note_as_run(bundle: Bundle, trust: TrustConfig | None) -> None:
    """Record that a bundle has been proven on this box: from now on, none that is older.

    Raises:
        StorageError: the record cannot be written.
    """
    if trust is not None and trust.installed is not None:
        remember(trust.installed, bundle.manifest, bundle.sha256)


def _expired(bundle: Bundle, now: datetime) -> list[str]:
    expires = bundle.manifest.expires
    if expires is None or now < expires:
        return []
    return [
        f"expired at {expires.isoformat()}, and it is {now.isoformat(timespec='seconds')}; check this "
        "computer's clock, else export the bundle again"
    ]


def _other_device(bundle: Bundle, trust: TrustConfig) -> list[str]:
    wanted = bundle.manifest.device_class
    if wanted is None or trust.device_class in (None, wanted):
        return []
    return [
        f"made for device class '{wanted}', this box is '{trust.device_class}' (trust.device_class); "
        "use the bundle of this class, or export one for it"
    ]


def _older(bundle: Bundle, trust: TrustConfig) -> list[str]:
    """A product is known by the manifest's name: the box keeps one highest version for each."""
    if trust.installed is None or trust.allow_older:
        return []
    manifest = bundle.manifest
    highest = read_installed(trust.installed).get(manifest.name)
    if highest is None or manifest.version >= highest.version or highest.back_to == bundle.sha256:
        return []
    return [
        f"{manifest.name} version {manifest.version} is older than version {highest.version}, which this "
        "box has run; install that or a newer one, or go back on purpose: 'edgeflow ctl BOX rollback' on a "
        "running box, else trust.allow_older: true"
    ]
