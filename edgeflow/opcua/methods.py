"""Methods of the server: commands to the box in the caller's name, and recipes, which are its products."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncua import Node, ua

from edgeflow.commands.control_socket import ask
from edgeflow.config.box import BoxConfig
from edgeflow.errors import EdgeflowError, HardwareError, UsageError
from edgeflow.opcua.address_space import AddressSpace, structure
from edgeflow.opcua.clients.sessions import CALLER, BoundedServer
from edgeflow.opcua.results import Results
from edgeflow.opcua.soft_triggers import SoftTriggers, TriggerNotGivenError
from edgeflow.security.users import Role

__all__ = ["BoxMethods"]

logger = logging.getLogger(__name__)

_PATIENCE_S = 20.0
_TRIGGER_S = 5.0
_OPERATOR: Role = "operator"

Method = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, kw_only=True)
class BoxMethods:
    """Methods, linked to their nodes; a command goes the way of ``edgeflow ctl`` and is recorded.

    Attributes:
        product: returns the product that is chosen now; empty where there is none.
        bundle: returns the name of the bundle that inspects now.
        inspecting: returns the box's session while it inspects parts; empty otherwise.
        triggers: None where this box's triggers are not given by messages.
    """

    config: BoxConfig
    space: AddressSpace
    results: Results
    product: Callable[[], str]
    bundle: Callable[[], str]
    inspecting: Callable[[], str]
    triggers: SoftTriggers | None

    async def link(self, server: BoundedServer, inspection: Node) -> None:
        """Link all methods, and make those of ``Inspection``."""
        state, automatic = ("VisionStateMachine",), ("VisionStateMachine", "AutomaticModeStateMachine")
        recipes, results = ("RecipeManagement",), ("ResultManagement",)
        methods: Mapping[tuple[str, ...], tuple[Method, Role]] = {
            (*state, "Reset"): (self._commanding("reset"), _OPERATOR),
            (*state, "Halt"): (_not_here, _OPERATOR),
            (*automatic, "StartContinuous"): (self.start_continuous, _OPERATOR),
            (*automatic, "StartSingleJob"): (self.start_single_job, _OPERATOR),
            (*automatic, "Stop"): (self._commanding("stop"), _OPERATOR),
            (*automatic, "Abort"): (self._commanding("stop"), _OPERATOR),
            (*recipes, "GetRecipeListFiltered"): (self.listed_recipes, "viewer"),
            (*recipes, "PrepareRecipe"): (self.prepare_recipe, _OPERATOR),
            (*recipes, "UnprepareRecipe"): (_not_here, _OPERATOR),
            (*results, "GetResultById"): (self.results.by_id, "viewer"),
            (*results, "GetResultComponentsById"): (self.results.components, "viewer"),
            (*results, "GetResultListFiltered"): (self.results.listed, "viewer"),
        }
        for path, (method, role) in methods.items():
            node = self.space.node(*path)
            self.space.server.link_method(node, method)
            server.roles[node.nodeid] = role
        for verb in ("start", "stop", "reset"):
            await self._plain(server, inspection, verb.capitalize(), self._plainly(verb), ())
        await self._plain(server, inspection, "SelectProduct", self.select_product, ("Name",))
        inputs = ("TriggerId", "PartId", "Product")
        await self._plain(server, inspection, "Trigger", self.trigger, inputs)

    async def start_continuous(self, *_: Any) -> list[ua.Variant]:
        """``StartContinuous``: job id and error; recipe and product are chosen by ``PrepareRecipe``."""
        error, _text = await self._command("start", {})
        job = ua.Variant(structure("JobIdDataType")(Id=""), ua.VariantType.ExtensionObject)
        return [job, _error(error)]

    async def start_single_job(
        self, _: ua.NodeId, *arguments: ua.Variant
    ) -> list[ua.Variant] | ua.StatusCode:
        """``StartSingleJob``: one trigger, with the measurement's id as its own."""
        if self.triggers is None:
            return ua.StatusCode(ua.StatusCodes.BadNotSupported)
        ids = [str(getattr(one.Value, "Id", None) or "") for one in arguments[:4]]
        session, (error, text) = self.inspecting(), await self._trigger(ids[0], ids[1], ids[3] or ids[2])
        if error:
            logger.warning("StartSingleJob of user %r: %s", CALLER.get(), text)
        job = ua.Variant(structure("JobIdDataType")(Id=session), ua.VariantType.ExtensionObject)
        return [job, _error(error)]

    async def trigger(self, _: ua.NodeId, *arguments: ua.Variant) -> list[ua.Variant] | ua.StatusCode:
        """``Trigger`` of ``Inspection``: one trigger, answered with its id once the broker has it."""
        if self.triggers is None:
            return ua.StatusCode(ua.StatusCodes.BadNotSupported)
        trigger_id, part_id, product = (str(one.Value or "") for one in arguments[:3])
        error, text = await self._trigger(trigger_id, part_id, product)
        return [ua.Variant(error == 0, ua.VariantType.Boolean), ua.Variant(text, ua.VariantType.String)]

    async def _trigger(self, trigger_id: str, part_id: str, product: str) -> tuple[int, str]:
        """Return an exit code and the trigger's id, or what went wrong."""
        if self.triggers is None or not self.inspecting():
            return UsageError.exit_code, "the box inspects no parts now; 'Start' it, and wait for its state"
        try:
            given, answered = self.triggers.give(trigger_id, part_id, product, CALLER.get())
        except TriggerNotGivenError as cause:
            return HardwareError.exit_code, str(cause)
        try:
            await asyncio.wait_for(asyncio.wrap_future(answered), _TRIGGER_S)
        except TimeoutError:
            text = f"the broker has not confirmed trigger {given!r}; it may still arrive"
            return HardwareError.exit_code, text
        except TriggerNotGivenError as cause:
            return HardwareError.exit_code, str(cause)
        finally:
            self.triggers.forget(given)
        return 0, given

    async def prepare_recipe(
        self, _: ua.NodeId, external: ua.Variant, internal: ua.Variant
    ) -> list[ua.Variant]:
        """``PrepareRecipe``: choose the product whose name is the recipe's external id."""
        name = getattr(external.Value, "Id", "") or getattr(internal.Value, "Id", "")
        error = 0
        if self.config.products or name != self.bundle():
            error, _text = await self._command("product", {"name": name})
        return [
            ua.Variant(_recipe(name), ua.VariantType.ExtensionObject),
            ua.Variant(error == 0, ua.VariantType.Boolean),
            _error(error),
        ]

    async def listed_recipes(self, _: ua.NodeId, *arguments: ua.Variant) -> list[ua.Variant]:
        """``GetRecipeListFiltered``: the box's products, or its one bundle."""
        wanted = getattr(arguments[0].Value, "Id", "") or getattr(arguments[1].Value, "Id", "")
        prepared, most, start = (int(arguments[n].Value or 0) for n in (2, 3, 4))
        chosen = self.product() or self.bundle()
        names = list(self.config.products or (self.bundle(),))
        fitting = [
            name
            for name in names
            if wanted in ("", name) and (arguments[2].Value is None or prepared not in (0, 1) or
                                         (name == chosen) == (prepared == 1))
        ]  # fmt: skip
        page = fitting[start : start + most] if most else fitting[start:]
        return [
            ua.Variant(start + len(page) >= len(fitting), ua.VariantType.Boolean),
            ua.Variant(len(page), ua.VariantType.UInt32),
            ua.Variant(0, ua.VariantType.UInt32),
            ua.Variant([_recipe(name) for name in page], ua.VariantType.ExtensionObject, is_array=True),
            _error(0),
        ]

    async def select_product(self, _: ua.NodeId, name: ua.Variant) -> list[ua.Variant] | ua.StatusCode:
        """``SelectProduct`` of ``Inspection``: the box's answer."""
        return await self._answered("product", {"name": str(name.Value or "")})

    def _commanding(self, verb: str) -> Method:
        async def command(*_: Any) -> list[ua.Variant]:
            error, _text = await self._command(verb, {})
            return [_error(error)]

        return command

    def _plainly(self, verb: str) -> Method:
        async def command(_: ua.NodeId) -> list[ua.Variant] | ua.StatusCode:
            return await self._answered(verb, {})

        return command

    async def _answered(self, verb: str, arguments: Mapping[str, str]) -> list[ua.Variant]:
        error, text = await self._command(verb, arguments)
        return [ua.Variant(error == 0, ua.VariantType.Boolean), ua.Variant(text, ua.VariantType.String)]

    async def _command(self, verb: str, arguments: Mapping[str, str]) -> tuple[int, str]:
        """Return the command's exit code and the box's words; -1 where the answer takes too long."""
        socket: Path = self.config.control_socket
        user = CALLER.get()
        try:
            answer = await asyncio.wait_for(
                asyncio.to_thread(ask, socket, verb, arguments, user), _PATIENCE_S
            )
        except TimeoutError:
            return -1, f"the box is still at it after {_PATIENCE_S:.0f} s; watch its state"
        except EdgeflowError as cause:
            logger.warning("%s of user %r failed: %s", verb, user, cause.message)
            return cause.exit_code, cause.message
        return int(answer["exit_code"]), str(answer["reply"]["text"])

    async def _plain(
        self, server: BoundedServer, parent: Node, name: str, method: Method, inputs: tuple[str, ...]
    ) -> None:
        own = self.space.own
        node = await parent.add_method(
            ua.NodeId(f"Inspection.{name}", own),
            ua.QualifiedName(name, own),
            method,
            [_argument(text, ua.ObjectIds.String) for text in inputs],
            [_argument("Done", ua.ObjectIds.Boolean), _argument("Answer", ua.ObjectIds.String)],
        )
        server.roles[node.nodeid] = _OPERATOR


async def _not_here(*_: Any) -> ua.StatusCode:
    return ua.StatusCode(ua.StatusCodes.BadNotSupported)


def _argument(name: str, kind: int) -> ua.Argument:
    return ua.Argument(Name=name, DataType=ua.NodeId(kind), ValueRank=-1)


def _recipe(name: str) -> Any:
    return structure("RecipeIdInternalDataType")(Id=name)


def _error(code: int) -> ua.Variant:
    return ua.Variant(code, ua.VariantType.Int32)
