"""Access to the server: a client's certificate, its user's password, and what the user's role allows."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User as UaUser
from asyncua.crypto.permission_rules import UserRole
from cryptography import x509

from edgeflow.errors import StorageError
from edgeflow.opcua.clients.trust_list import TrustList, Unfit, thumbprint
from edgeflow.security.attempts import Attempts
from edgeflow.security.users import ROLES, Role, Users

__all__ = ["Access", "BoxUser", "may"]

logger = logging.getLogger(__name__)

_LONGEST_NAME = 64
_LONGEST_PASSWORD = 1024
_SECRET = secrets.token_bytes(32)
_CODES: Mapping[Unfit, int] = {
    "ended": ua.StatusCodes.BadCertificateTimeInvalid,
    "not yet": ua.StatusCodes.BadCertificateTimeInvalid,
    "revoked": ua.StatusCodes.BadCertificateRevoked,
    "untrusted": ua.StatusCodes.BadCertificateUntrusted,
}


@dataclass
class BoxUser(UaUser):
    """A user of the box in a session.

    Attributes:
        box_role: of the user; a client without a user is a viewer.
    """

    box_role: Role = "viewer"


def may(user: UaUser | None, role: Role) -> bool:
    """Return True if a session's user has at least this role."""
    return isinstance(user, BoxUser) and ROLES.index(user.box_role) >= ROLES.index(role)


@dataclass
class Access:
    """Checks clients as asyncua asks for it: their certificate at first, then the user.

    Attributes:
        anonymous: clients without a user may read.
    """

    users: Users
    trust: TrustList
    anonymous: bool
    _attempts: Attempts = field(default_factory=Attempts)
    _known: dict[str, bytes] = field(default_factory=dict)  # so that a reconnection costs no slow hash

    def may_stay(self, certificate: bytes | None) -> bool:
        """Return True if a client that is connected would be accepted now, too."""
        if certificate is None:
            return True  # it has no session yet, and gets none
        return self.trust.unfit(x509.load_der_x509_certificate(certificate), dt.datetime.now(dt.UTC)) is None

    async def check_certificate(self, certificate: x509.Certificate, _: ua.ApplicationDescription) -> None:
        """Refuse a client whose certificate has ended or is not trusted; for the creation of a session.

        Raises:
            ServiceError: with the code that OPC UA has for it.
        """
        self._require_fit(certificate)

    def get_user(
        self,
        _server: Any,
        username: str | None = None,
        password: str | None = None,
        certificate: bytes | None = None,
    ) -> BoxUser | None:
        """Return the user of a session, or None where there is no such user; asyncua's own signature.

        The certificate is that of the encrypted channel; a session without one is refused.

        Raises:
            ServiceError: no encryption, an unfit certificate, or too many wrong passwords.
        """
        if certificate is None:
            logger.warning("a client without encryption is refused; let it use Basic256Sha256 or better")
            raise ServiceError(ua.StatusCodes.BadSecurityPolicyRejected)
        client = x509.load_der_x509_certificate(certificate)
        self._require_fit(client)
        if username is None:
            return BoxUser(role=UserRole.User, name="") if self.anonymous else None
        return self._checked(username[:_LONGEST_NAME], (password or "")[:_LONGEST_PASSWORD], client)

    def _checked(self, name: str, password: str, client: x509.Certificate) -> BoxUser | None:
        keys = (f"name {name}", f"client {thumbprint(client)}")
        if self._attempts.wait_s(keys, time.monotonic()) > 0:
            logger.warning("user %r has to wait after five wrong passwords in a minute", name)
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)
        try:
            known = self.users.all().get(name)
            text = f"{known.password if known else ''}\0{password}"
            tried = hashlib.blake2b(text.encode(), key=_SECRET).digest()
            if known is not None and self._known.get(name) == tried:
                return BoxUser(role=UserRole.User, name=known.name, box_role=known.role)
            user = self.users.check(name, password)
        except StorageError as cause:
            logger.error("%s", cause.message)
            raise ServiceError(ua.StatusCodes.BadInternalError) from cause
        if user is None:
            self._attempts.failed(keys, time.monotonic())
            logger.warning("user %r: unknown, or a wrong password", name)
            return None
        self._known[name] = tried
        return BoxUser(role=UserRole.User, name=user.name, box_role=user.role)

    def _require_fit(self, certificate: x509.Certificate) -> None:
        unfit = self.trust.unfit(certificate, dt.datetime.now(dt.UTC))
        if unfit is None:
            return
        print_ = thumbprint(certificate)
        name = certificate.subject.rfc4514_string()[:200]
        if unfit == "untrusted":
            kept = self.trust.keep_refused(certificate)
            logger.warning(
                "client %r is not trusted (thumbprint %s, kept as %s); to trust it, run 'edgeflow opcua BOX "
                "--trust %s'", name, print_, kept, print_[:8],
            )  # fmt: skip
        elif unfit == "revoked":
            logger.warning(
                "client %r is refused: its authority has revoked its certificate (thumbprint %s); give it a "
                "new one", name, print_,
            )  # fmt: skip
        else:
            logger.warning(
                "client %r is refused: its certificate (thumbprint %s) is valid from %s to "
                "%s; give it a new one",
                name, print_, certificate.not_valid_before_utc, certificate.not_valid_after_utc,
            )  # fmt: skip
        raise ServiceError(_CODES[unfit])
