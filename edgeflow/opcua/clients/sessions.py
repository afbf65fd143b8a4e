"""Sessions of clients: bounded in all that a client may ask for, and deaf until a user has logged in."""

from __future__ import annotations

import logging
import secrets
from contextvars import ContextVar
from typing import Any, NoReturn

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession, SessionState

from edgeflow.opcua.clients.access import Access, may
from edgeflow.security.users import Role

__all__ = ["CALLER", "SHORTEST_INTERVAL_MS", "BoundedServer"]

logger = logging.getLogger(__name__)

CALLER: ContextVar[str] = ContextVar("CALLER", default="")
"""Name of the user whose method is carried out."""

SHORTEST_INTERVAL_MS = 10.0
"""Of publishing; a client that wants less gets this."""

_SUBSCRIPTIONS = 5  # of one session
_ITEMS = 500  # of one session
_QUEUE = 100  # values of one item, or events, until the client takes them
_NODES_AT_ONCE = 1000


class BoundedServer(InternalServer):
    """asyncua's server with limits, and with sessions that ask who calls a method.

    Attributes:
        roles: method's node id → the role that may call it; any other method needs none.
    """

    def __init__(self, access: Access, clients: int) -> None:
        super().__init__(user_manager=access)
        self.roles: dict[ua.NodeId, Role] = {}
        self.certificate_validator = access.check_certificate
        self.allow_remote_admin = False
        tokens = [ua.UserNameIdentityToken] + ([ua.AnonymousIdentityToken] if access.anonymous else [])
        self.supported_tokens = tuple(tokens)
        self.max_connections = clients
        self.max_subscriptions = clients * _SUBSCRIPTIONS
        self.max_session_timeout_ms = 120_000
        self.max_unacked_messages_per_subscription = _QUEUE
        self.max_monitored_item_queue_size = _QUEUE
        self.max_pending_messages_per_connection = 100
        self.max_pending_activation_seconds = 10.0
        self.max_lifetime_count = 3000
        self.max_keep_alive_count = 1000

    def create_session(
        self,
        name: str,
        user: User = User(role=UserRole.Anonymous),  # noqa: B008 - asyncua's signature
        external: bool = False,
    ) -> InternalSession:
        """Return a bounded session for a client."""
        return _Session(self, self.aspace, self.subscription_service, name, user=user, external=external)

    def register_server(self, server: Any, conf: Any = None) -> None:  # noqa: ARG002 - asyncua's signature
        """Refuse: this is no discovery server, and anybody may call this.

        Raises:
            ServiceError: always.
        """
        raise ServiceError(ua.StatusCodes.BadServiceUnsupported)


class _Session(InternalSession):
    """Session of one client."""

    def __init__(self, server: BoundedServer, *arguments: Any, **options: Any) -> None:
        super().__init__(server, *arguments, **options)
        self._server = server
        self._items = 0
        if (
            self.external
        ):  # asyncua counts its tokens upwards, and whoever knows one may take the session over
            server.unregister_external_session(self)
            self.auth_token = ua.NodeId(secrets.token_bytes(32), 0, ua.NodeIdType.ByteString)
            server.register_external_session(self)

    async def read(self, params: ua.ReadParameters) -> list[ua.DataValue]:
        self._require_few(params.NodesToRead)
        return await super().read(params)

    async def write(self, params: ua.WriteParameters) -> list[ua.StatusCode]:
        self._require_few(params.NodesToWrite)
        return await super().write(params)

    async def history_read(self, params: ua.HistoryReadParameters) -> list[ua.HistoryReadResult]:  # noqa: ARG002
        _unsupported()

    async def browse(self, params: ua.BrowseParameters) -> list[ua.BrowseResult]:
        self._require_few(params.NodesToBrowse)
        return await super().browse(params)

    async def translate_browsepaths_to_nodeids(
        self, params: list[ua.BrowsePath]
    ) -> list[ua.BrowsePathResult]:
        self._require_few(params)
        return await super().translate_browsepaths_to_nodeids(params)

    async def create_subscription(self, params: Any, *arguments: Any, **options: Any) -> Any:
        self._require_user()
        if self.external and len(self._own) >= _SUBSCRIPTIONS:
            raise ServiceError(ua.StatusCodes.BadTooManySubscriptions)
        interval_ms = params.RequestedPublishingInterval
        params.RequestedPublishingInterval = max(float(interval_ms or 0), SHORTEST_INTERVAL_MS)
        return await super().create_subscription(params, *arguments, **options)

    async def create_monitored_items(
        self, params: ua.CreateMonitoredItemsParameters
    ) -> list[ua.MonitoredItemCreateResult]:
        self._require_own(params.SubscriptionId)
        if self._items + len(params.ItemsToCreate) > _ITEMS:
            raise ServiceError(ua.StatusCodes.BadTooManyMonitoredItems)
        created = await super().create_monitored_items(params)
        self._items += sum(result.StatusCode.is_good() for result in created)
        return created

    async def modify_monitored_items(
        self, params: ua.ModifyMonitoredItemsParameters
    ) -> list[ua.MonitoredItemModifyResult]:
        self._require_own(params.SubscriptionId)
        for item in params.ItemsToModify:  # asyncua takes any size here, and 0 for no limit
            size = item.RequestedParameters.QueueSize
            item.RequestedParameters.QueueSize = ua.UInt32(min(size, _QUEUE) or _QUEUE)
        return await super().modify_monitored_items(params)

    async def delete_monitored_items(self, params: ua.DeleteMonitoredItemsParameters) -> list[ua.StatusCode]:
        self._require_own(params.SubscriptionId)
        deleted = await super().delete_monitored_items(params)
        self._items -= sum(code.is_good() for code in deleted)
        return deleted

    async def set_monitoring_mode(self, params: ua.SetMonitoringModeParameters) -> list[ua.StatusCode]:
        self._require_own(params.SubscriptionId)
        return await super().set_monitoring_mode(params)

    async def set_publishing_mode(self, params: ua.SetPublishingModeParameters) -> list[ua.StatusCode]:
        self._require_own(*params.SubscriptionIds)
        return await super().set_publishing_mode(params)

    async def delete_subscriptions(self, ids: list[int]) -> list[ua.StatusCode]:
        if self.state is not SessionState.Closed:  # asyncua closes sessions through this as well
            self._require_own(*ids)
        return await super().delete_subscriptions(ids)

    async def transfer_subscriptions(self, *_: Any) -> list[ua.TransferResult]:
        _unsupported()  # asyncua lets any session take any other's; clients then subscribe anew

    async def add_nodes(self, *_: Any) -> list[ua.AddNodesResult]:
        _unsupported()

    async def delete_nodes(self, *_: Any) -> list[ua.StatusCode]:
        _unsupported()

    async def add_references(self, *_: Any) -> list[ua.StatusCode]:
        _unsupported()

    async def delete_references(self, *_: Any) -> list[ua.StatusCode]:
        _unsupported()

    async def call(self, params: list[ua.CallMethodRequest]) -> list[ua.CallMethodResult]:
        """Call methods in the user's name; a method beyond the user's role is denied, the others go on."""
        self._require_few(params)
        results = []
        for request in params:
            role = self._server.roles.get(request.MethodId)
            if role is not None and not may(self.user, role):
                logger.warning("user %r may not call %s: it needs the role %s",
                               self.user.name, request.MethodId.Identifier, role)  # fmt: skip
                results.append(
                    ua.CallMethodResult(StatusCode=ua.StatusCode(ua.StatusCodes.BadUserAccessDenied))
                )
                continue
            CALLER.set(self.user.name or "")
            results += await super().call([request])
        return results

    @property
    def _own(self) -> set[int]:
        """Ids of this session's subscriptions."""
        known = self.subscription_service.subscriptions
        return {number for number, sub in known.items() if sub.session_id == self.session_id}

    def _require_own(self, *ids: int) -> None:
        self._require_user()
        if not set(ids) <= self._own:
            raise ServiceError(ua.StatusCodes.BadSubscriptionIdInvalid)

    def _require_user(self) -> None:
        """Refuse whoever has not logged in: asyncua serves a session also before its activation."""
        if self.external and not self.is_activated():
            raise ServiceError(ua.StatusCodes.BadSessionNotActivated)

    def _require_few(self, items: list[Any]) -> None:
        self._require_user()
        if len(items) > _NODES_AT_ONCE:
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)


def _unsupported() -> NoReturn:
    raise ServiceError(ua.StatusCodes.BadServiceUnsupported)
