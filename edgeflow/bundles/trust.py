"""Checks before a box runs a bundle: trusted, of its product, for its device, in time, not older."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path

from edgeflow.alarms import Alarms
from edgeflow.bundles.bundle import Bundle
from edgeflow.bundles.version_record import Record, read_installed, read_record, record_version
from edgeflow.config.box import TrustConfig
from edgeflow.errors import IntegrityError
from edgeflow.security.keys import trusted_keys

__all__ = ["admit", "check_expiry", "is_new_here", "note_as_run", "open_admitted"]

logger = logging.getLogger(__name__)


def open_admitted(path: Path, trust: TrustConfig | None, now: datetime, product: str | None = None) -> Bundle:
    """Open the bundle that a box is to run; the caller closes it.

    Args:
        trust: the box's section; without one, whoever may write the file decides what runs.
        now: aware, UTC.
        product: of the box file, where it has several; each keeps to bundles of one name.

    Raises:
        UsageError: no such bundle, or a key file that is none.
        IntegrityError: damaged, not signed by a trusted key, or not for this box now.
        StorageError: the record of what has run cannot be read.
    """
    keys = trusted_keys(trust.keys) if trust and trust.keys else None
    bundle = Bundle.open(path, trusted=keys)
    try:
        admit(bundle, trust, now, product)
    except BaseException:
        bundle.close()
        raise
    return bundle


def admit(bundle: Bundle, trust: TrustConfig | None, now: datetime, product: str | None = None) -> None:
    """Refuse an opened bundle that is not for this box or product, expired, or older than what ran before.

    Raises:
        IntegrityError: with everything that stands against it.
        StorageError: the record of what has run cannot be read.
    """
    problems = _expired(bundle, now)
    if trust is not None:
        record = read_record(trust.installed) if trust.installed is not None else Record()
        record = record.of(product)
        problems += _other_product(bundle, trust, record) if product is None else ()
        problems += () if product is None else _other_name(bundle, trust, record, product)
        problems += _other_device(bundle, trust) + _mistaken(bundle, trust) + _older(bundle, trust, record)
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


def is_new_here(bundle: Bundle, trust: TrustConfig | None, product: str | None = None) -> bool:
    """True if this box keeps a record of what ran, and this bundle did not run last."""
    if trust is None or trust.installed is None:
        return False
    last = read_installed(trust.installed, product).get(bundle.manifest.name)
    return last is None or last.sha256 != bundle.sha256


def note_as_run(
    bundle: Bundle, trust: TrustConfig | None, alarms: Alarms | None = None, product: str | None = None
) -> None:
    """Record that a bundle has been verified on this box: from now on, none older or of another product.

    Args:
        product: of the box file, where it has several.
        alarms: told once where nobody but this first bundle says which product the box inspects.

    Raises:
        StorageError: the record cannot be written.
    """
    if trust is None or trust.installed is None:
        return
    name = bundle.manifest.name
    if product is None and trust.product is None and read_record(trust.installed).known_product is None:
        text = (
            f"the first bundle that ran here is of product '{name}'; those of other products are refused "
            f"from now on. Write 'product: {name}' below 'trust' in the box file"
        )
        if alarms is not None:
            alarms.raise_("product_unpinned", "warning", text)
        else:
            logger.warning("%s", text)
    record_version(
        trust.installed, bundle.manifest, bundle.sha256, max_version=trust.max_version, product=product
    )


def _expired(bundle: Bundle, now: datetime) -> list[str]:
    expires = bundle.manifest.expires
    if expires is None or now < expires:
        return []
    return [
        f"expired at {expires.isoformat()}, and it is {now.isoformat(timespec='seconds')}; check this "
        "computer's clock, else export the bundle again"
    ]


def _other_product(bundle: Bundle, trust: TrustConfig, record: Record) -> list[str]:
    name, pinned = bundle.manifest.name, trust.product or record.known_product
    if pinned in (None, name):
        return []
    why = "trust.product" if trust.product else f"the product of the bundles that ran here, {trust.installed}"
    return [
        f"of product '{name}', this box inspects '{pinned}' ({why}); if it is to inspect the other one from "
        f"now on, set trust.product: {name} and restart it"
    ]


def _other_name(bundle: Bundle, trust: TrustConfig, record: Record, product: str) -> list[str]:
    """As :func:`_other_product`, for one product of a box with several."""
    name, pinned = bundle.manifest.name, trust.product or record.product
    if pinned in (None, name):
        return []
    return [
        f"its name is '{name}', product '{product}' runs bundles of the name '{pinned}'; if it is to run the "
        f"other ones from now on, set products.{product}.name: {name} and restart the box"
    ]


def _mistaken(bundle: Bundle, trust: TrustConfig) -> list[str]:
    version = bundle.manifest.version
    if version <= trust.max_version:
        return []
    return [
        f"version {version} is over trust.max_version {trust.max_version}, and would lock out all that come "
        "later; export it with a smaller --bundle-version, or raise trust.max_version"
    ]


def _other_device(bundle: Bundle, trust: TrustConfig) -> list[str]:
    wanted = bundle.manifest.device_class
    if wanted is None or trust.device_class in (None, wanted):
        return []
    return [
        f"made for device class '{wanted}', this box is '{trust.device_class}' (trust.device_class); "
        "use the bundle of this class, or export one for it"
    ]


def _older(bundle: Bundle, trust: TrustConfig, record: Record) -> list[str]:
    """A product is known by the manifest's name: the box keeps one highest version for each."""
    manifest = bundle.manifest
    highest = record.bundles.get(manifest.name)
    if highest is None or trust.allow_older or highest.version > trust.max_version:
        return []
    if manifest.version >= highest.version or highest.back_to == bundle.sha256:
        return []
    return [
        f"{manifest.name} version {manifest.version} is older than version {highest.version}, which this "
        "box has run; install that or a newer one, or go back on purpose: 'edgeflow ctl BOX rollback' on a "
        f"running box, else trust.allow_older: true; if {highest.version} was a mistake, set "
        f"trust.max_version below it, and it is forgotten"
    ]
