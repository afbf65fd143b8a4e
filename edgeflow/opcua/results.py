"""Results after OPC 40100-1: the latest ones for methods, and an event for each new one."""

from __future__ import annotations

import datetime as dt
import json
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from asyncua import ua
from asyncua.server.event_generator import EventGenerator

from edgeflow.opcua.address_space import AddressSpace, NodeIds, structure

__all__ = ["COMPLETED", "FAILED", "Results", "result_structure"]

COMPLETED, FAILED = 1, 4
"""States of a result in OPC 40100-1: a verdict was reached, or it is UNDECIDED."""

_SEVERITY = {"OK": 100, "NG": 300, "UNDECIDED": 500}
_COMPONENTS = (
    "HasTransferableDataOnFile", "IsPartial", "IsSimulated", "ResultState", "MeasId", "PartId",
    "ExternalRecipeId", "InternalRecipeId", "ProductId", "ExternalConfigurationId", "InternalConfigurationId",
    "JobId", "CreationTime", "ProcessingTimes", "ResultContent",
)  # fmt: skip


def result_structure(result: Mapping[str, Any]) -> Any:
    """Return a result of the box as the structure ``ResultDataType``.

    ``ResultContent`` holds verdict, reason code, reason, score (1.0 is the threshold; NaN without one) and
    the whole result as JSON, in this order.
    """
    bundle, durations = result["bundle"], result["durations_ms"]
    product = result.get("product") or ""
    decided = _time(result["decided_at"])
    score = result.get("score")
    return structure("ResultDataType")(
        ResultId=structure("ResultIdDataType")(Id=result["result_id"]),
        HasTransferableDataOnFile=False,
        IsPartial=False,
        IsSimulated=False,
        ResultState=ua.Int32(FAILED if result["verdict"] == "UNDECIDED" else COMPLETED),
        MeasId=structure("MeasIdDataType")(Id=result["trigger_id"]),
        PartId=structure("PartIdDataType")(Id=result["part_id"]),
        ExternalRecipeId=_id("RecipeIdExternalDataType", product or bundle["name"]),
        InternalRecipeId=_id("RecipeIdInternalDataType", bundle["name"], bundle["sha256"]),
        ProductId=structure("ProductIdDataType")(Id=product) if product else None,
        ExternalConfigurationId=None,
        InternalConfigurationId=_id("ConfigurationIdDataType", result["box"]),
        JobId=structure("JobIdDataType")(Id=result["session"]),
        CreationTime=decided,
        ProcessingTimes=structure("ProcessingTimesDataType")(
            StartTime=_time(result["triggered_at"]),
            EndTime=decided,
            AcquisitionDuration=float(durations.get("acquire", 0.0)),
            ProcessingDuration=float(durations.get("score", 0.0)),
        ),
        ResultContent=[
            ua.Variant(result["verdict"], ua.VariantType.String),
            ua.Variant(result.get("reason_code") or "", ua.VariantType.String),
            ua.Variant(result["reason"], ua.VariantType.String),
            ua.Variant(float("nan") if score is None else float(score), ua.VariantType.Double),
            ua.Variant(json.dumps(result), ua.VariantType.String),
        ],
    )


class Results:
    """The latest results; for the server's event loop.

    Args:
        most: results that are kept.
    """

    def __init__(self, space: AddressSpace, most: int) -> None:
        self._space = space
        self._kept: deque[Mapping[str, Any]] = deque(maxlen=most)
        self._handles = 0
        self._events: list[EventGenerator] = []

    async def make(self) -> None:
        """Prepare the event, which the vision system and the server itself send."""
        server = self._space.server
        for emitter in (self._space.system, server.nodes.server):
            kind = server.get_node(self._space.type_id(NodeIds.RESULT_READY))
            event = await server.get_event_generator(kind, emitting_node=emitter)
            event.event.SourceNode = self._space.system.nodeid
            event.event.SourceName = "VisionSystem"
            for name in ("ResultId", *_COMPONENTS):  # asyncua takes the types of empty values for unknown
                event.event.add_property(name, None, _kind(name))
            self._events.append(event)

    def restore(self, results: Iterable[Mapping[str, Any]]) -> None:
        """Take results from before this server was connected; they are no events."""
        known = {result["result_id"] for result in self._kept}
        self._kept.extend(result for result in results if result["result_id"] not in known)

    async def finished(self, result: Mapping[str, Any]) -> None:
        """Keep a new result and send ``ResultReady``."""
        self._kept.append(result)
        whole = result_structure(result)
        values = {
            field.name: getattr(whole, field.name) for field in fields(whole) if field.name != "Encoding"
        }
        for generator in self._events:
            event = generator.event
            for name, value in values.items():
                setattr(event, name, value)
            event.Severity = _SEVERITY[result["verdict"]]
            text = f"part {result['part_id']}: {result['verdict']} {result['reason']}".strip()
            event.Message = ua.LocalizedText(text, "en")
            await generator.trigger(time_attr=whole.CreationTime)

    async def by_id(self, _: ua.NodeId, wanted: ua.Variant, _timeout: ua.Variant) -> list[ua.Variant]:
        """``GetResultById``: handle, result, error (0, or 1 where there is no such result)."""
        found = self._find(wanted)
        whole = result_structure(found) if found is not None else structure("ResultDataType")()
        return [self._handle(), ua.Variant(whole, ua.VariantType.ExtensionObject), _error(found is None)]

    async def components(self, _: ua.NodeId, wanted: ua.Variant, _timeout: ua.Variant) -> list[ua.Variant]:
        """``GetResultComponentsById``: the parts of a result one by one."""
        found = self._find(wanted)
        whole = result_structure(found) if found is not None else structure("ResultDataType")()
        parts = [_variant(name, getattr(whole, name)) for name in _COMPONENTS]
        return [parts[0], self._handle(), *parts[1:], _error(found is None)]

    async def listed(self, _: ua.NodeId, *arguments: ua.Variant) -> list[ua.Variant]:
        """``GetResultListFiltered``: newest first, by state, part, recipe, product and job where given."""
        state, part, recipe, product, job = (arguments[n].Value for n in (0, 2, 3, 7, 8))
        most, start = (int(arguments[n].Value or 0) for n in (9, 10))
        fitting = [
            result
            for result in reversed(self._kept)
            if _fits(part, result["part_id"])
            and _fits(recipe, result.get("product") or result["bundle"]["name"])
            and _fits(product, result.get("product") or "")
            and _fits(job, result["session"])
            and (not state or state == (FAILED if result["verdict"] == "UNDECIDED" else COMPLETED))
        ]
        page = fitting[start : start + most] if most else fitting[start:]
        structures = [result_structure(result) for result in page]
        return [
            ua.Variant(start + len(page) >= len(fitting), ua.VariantType.Boolean),
            ua.Variant(len(structures), ua.VariantType.UInt32),
            self._handle(),
            ua.Variant(structures, ua.VariantType.ExtensionObject, is_array=True),
            _error(failed=False),
        ]

    def _find(self, wanted: ua.Variant) -> Mapping[str, Any] | None:
        name = getattr(wanted.Value, "Id", None)
        return next((result for result in reversed(self._kept) if result["result_id"] == name), None)

    def _handle(self) -> ua.Variant:
        """Return a number for the call; nothing is held for it."""
        self._handles = (self._handles + 1) % 2**32
        return ua.Variant(self._handles, ua.VariantType.UInt32)


def _fits(wanted: Any, value: str) -> bool:
    name = getattr(wanted, "Id", None)
    return not name or name == value


def _id(kind: str, name: str, sha256: str = "") -> Any:
    return structure(kind)(
        Id=name,
        Hash=bytes.fromhex(sha256) if sha256 else None,
        HashAlgorithm="SHA-256" if sha256 else None,
    )


def _kind(name: str) -> ua.VariantType:
    """Return the type of a component of a result."""
    kinds = {
        "HasTransferableDataOnFile": ua.VariantType.Boolean,
        "IsPartial": ua.VariantType.Boolean,
        "IsSimulated": ua.VariantType.Boolean,
        "ResultState": ua.VariantType.Int32,
        "CreationTime": ua.VariantType.DateTime,
        "ResultContent": ua.VariantType.Variant,
    }
    return kinds.get(name, ua.VariantType.ExtensionObject)


def _variant(name: str, value: Any) -> ua.Variant:
    return ua.Variant(None) if value is None else ua.Variant(value, _kind(name))


def _error(failed: bool) -> ua.Variant:
    return ua.Variant(1 if failed else 0, ua.VariantType.Int32)


def _time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)
