"""MQTT payloads and JSON: one model per message; their JSON Schemas ship in ``schemas/``."""

from __future__ import annotations

import json
from importlib import resources
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from edgeflow.contracts.commands import Command, Reply
from edgeflow.contracts.documents.document import Growing, parse_document
from edgeflow.contracts.message_parts.alarm_codes import AlarmCode
from edgeflow.contracts.message_parts.base import Message, Timestamp
from edgeflow.contracts.message_parts.context import Context
from edgeflow.contracts.message_parts.fleet_status import FleetStatus
from edgeflow.contracts.message_parts.metrics import Metrics
from edgeflow.contracts.message_parts.names import Availability, Severity, StateName, VerdictName
from edgeflow.contracts.message_parts.product import Product
from edgeflow.contracts.message_parts.reason_codes import ReasonCode
from edgeflow.contracts.message_parts.trigger_message import TriggerMessage
from edgeflow.errors import DataError

__all__ = [
    "MESSAGES",
    "Ack",
    "Alarm",
    "AlarmCode",
    "Availability",
    "Birth",
    "BundleInfo",
    "CameraInfo",
    "CameraStatus",
    "Deadline",
    "Decision",
    "Dropped",
    "Message",
    "Metrics",
    "ProductInfo",
    "Region",
    "Result",
    "Severity",
    "State",
    "StateName",
    "SyncInfo",
    "TriggerMessage",
    "VerdictName",
    "ViewResult",
    "from_json",
    "json_schema",
    "parse_message",
    "plain_data",
    "shipped_schema",
    "to_json",
]


_CODE = r"[a-z][a-z0-9_]{0,63}"


class Decision(Message):
    """For the gate: tiny, not retained, never replayed; worthless after ``valid_until``."""

    schema_: Literal["edgeflow/decision/1"] = Field(default="edgeflow/decision/1", alias="schema")
    result_id: str
    trigger_id: str
    part_id: str
    verdict: VerdictName
    reason: str = Field(description="why, in one sentence; empty for OK with all views")
    reason_code: Annotated[ReasonCode, Growing(pattern=_CODE)] | None = Field(
        default=None, description="the same for programs"
    )
    seq: int
    session: str
    triggered_at: Timestamp | None = None
    acquired_at: Timestamp
    deadline_ms: float | None = Field(default=None, description="for the decision, counted from the trigger")
    valid_until: Timestamp
    context: Context | None = None
    product: Product = None
    signature: str | None = Field(
        default=None, description="hmac-sha256:… or ed25519:…, base64, over all other fields, where wanted"
    )


class Region(Message):
    """A box around connected map pixels over the view's threshold, in model-image pixels."""

    x: int
    y: int
    width: int
    height: int
    score_raw: float
    camera: tuple[int, int, int, int] | None = Field(
        default=None,
        exclude_if=lambda camera: camera is None,
        description="the box in pixels of the camera's image: x, y, width, height; of views that are more "
        "than resized",
    )


class ViewResult(Message):
    """One view of a result; scores are absent where the view was not scored."""

    id: str
    score: float | None = Field(description="1.0 is the threshold; not clamped")
    score_raw: float | None
    threshold: float | None = Field(default=None, description="of score_raw; where score is 1.0")
    frame_id: int | None = Field(description="the camera's own frame counter; absent where no frame came")
    skew_ms: float | None = Field(description="behind the earliest frame of the part")
    regions: tuple[Region, ...] = ()
    masked: bool = Field(
        default=False,
        description="its foreground mask was applied; where a bundle has a foreground and this is false, the "
        "score is the highest that a mask could give",
    )


class SyncInfo(Message):
    """Synchronisation of the frames of a part."""

    complete: bool
    missing: tuple[str, ...]
    skew_ms: float | None
    max_skew_ms: float


class Deadline(Message):
    """The gate's deadline, counted from the trigger."""

    deadline_ms: float
    decided_after_ms: float
    met: bool


GraphChosenBy = Literal["order", "box_file", "bench", "fallback"]


class BundleInfo(Message):
    """The model that decided; scores and thresholds are those of its graph, ``backend`` and ``precision``."""

    name: str
    sha256: str
    backend: str
    precision: str
    graph_chosen_by: GraphChosenBy | None = Field(
        default=None,
        description="why this graph runs: the bundle's order, the box file's precision, a choice by "
        "'edgeflow bench --choose', or because those before it did not verify on this device",
    )


class Result(Message):
    """The full record of one part, delivered through the outbox."""

    schema_: Literal["edgeflow/result/1"] = Field(default="edgeflow/result/1", alias="schema")
    result_id: str
    trigger_id: str
    part_id: str
    verdict: VerdictName
    reason: str
    reason_code: Annotated[ReasonCode, Growing(pattern=_CODE)] | None = Field(
        default=None, description="the reason for programs"
    )
    seq: int
    session: str
    site: str | None = Field(default=None, description="where the part was inspected")
    line: str | None = None
    station: str | None = None
    box: str | None = Field(default=None, description="the box's name among all boxes")
    score: float | None
    score_raw: float | None
    threshold: float | None = Field(
        default=None, description="of score_raw; where score is 1.0; of the views that were present"
    )
    views: tuple[ViewResult, ...]
    sync: SyncInfo
    bundle: BundleInfo
    triggered_at: Timestamp
    encoder: int | None = Field(default=None, description="the line's position, as its trigger gave it")
    acquired_at: Timestamp
    decided_at: Timestamp
    durations_ms: dict[str, float]
    deadline: Deadline
    context: Context | None = None
    product: Product = None
    gate_told: bool | None = Field(
        default=None, description="whether the broker took the decision before it was worthless, where known"
    )
    evidence: str | None = Field(default=None, description="folder of images and maps, where kept")
    replayed: bool = False
    attempt: int = Field(default=1, ge=1)


class Dropped(Message):
    """Results that the box gave up before they were delivered; acknowledged like a result."""

    schema_: Literal["edgeflow/dropped/1"] = Field(default="edgeflow/dropped/1", alias="schema")
    record_id: str = Field(description="what the consumer acknowledges")
    first: str = Field(alias="from", description="result id")
    last: str = Field(alias="to", description="result id")
    count: int = Field(ge=1)
    why: str
    result_ids: tuple[str, ...] = Field(default=(), description="every one; empty where they are too many")
    at: Timestamp
    replayed: bool = False
    attempt: int = Field(default=1, ge=1)


class Ack(Message):
    """A consumer's receipt: these results are safe with it."""

    schema_: Literal["edgeflow/ack/1"] = Field(default="edgeflow/ack/1", alias="schema")
    result_ids: tuple[str, ...] = Field(min_length=1, max_length=1000)


class CameraInfo(Message):
    """One camera in the birth message."""

    view: str
    kind: str
    source: str
    latency_ms: float | None = Field(
        default=None,
        description="from exposure to arrival; null while unknown, or where nothing tells it",
    )


class ProductInfo(Message):
    """One product in the birth message."""

    product: str
    bundle: BundleInfo | None = Field(default=None, description="null where it is not known")
    problem: str = Field(
        default="", description="why its parts are UNDECIDED; empty where they are inspected"
    )


class Birth(Message):
    """Identity of the box and its bundle, published retained at every connection."""

    schema_: Literal["edgeflow/birth/1"] = Field(default="edgeflow/birth/1", alias="schema")
    session: str
    edgeflow_version: str
    bundle: BundleInfo
    config_sha256: str
    cameras: tuple[CameraInfo, ...]
    message_schemas: tuple[str, ...]
    products: tuple[ProductInfo, ...] = Field(
        default=(), exclude_if=lambda value: not value, description="of a box with several products"
    )
    at: Timestamp


class State(Message):
    """The station's state, by its OPC 40100-1 name."""

    schema_: Literal["edgeflow/state/1"] = Field(default="edgeflow/state/1", alias="schema")
    session: str
    state: StateName
    detail: str = Field(description="starting, running, stopped, or what is wrong")
    recipe: str
    ready: bool = Field(
        description="a part that is triggered gets its decision: UNDECIDED while the state is Ready, since "
        "parts are inspected in ContinuousExecution only"
    )
    degraded_views: tuple[str, ...] = ()
    product: Product = None
    at: Timestamp


class CameraStatus(Message):
    """Health of one camera, retained."""

    schema_: Literal["edgeflow/camera-status/1"] = Field(default="edgeflow/camera-status/1", alias="schema")
    session: str
    view: str
    status: Literal["online", "offline", "stale"]
    serial: str | None = Field(default=None, description="as the camera itself says; null where it says none")
    fps: float | None = None
    last_frame_age_ms: float | None = None
    reconnects: int = 0
    frames_lost: int = Field(default=0, description="came damaged or late and were not used")
    detail: str = ""
    at: Timestamp


class Alarm(Message):
    """A fault that the box has now, retained until an empty payload clears it."""

    schema_: Literal["edgeflow/alarm/1"] = Field(default="edgeflow/alarm/1", alias="schema")
    session: str
    code: Annotated[AlarmCode, Growing(pattern=_CODE)]
    subject: str = Field(default="", description="which one, where there are several: a view, for instance")
    severity: Severity = Field(description="error: parts or records are affected")
    text: str = Field(description="what is wrong, where, what to do next")
    since: Timestamp

    @property
    def name(self) -> str:
        """Last level of its topic: the code, and the subject where there is one."""
        return f"{self.code}.{self.subject}" if self.subject else self.code


MESSAGES: dict[str, type[Message]] = {
    "decision": Decision,
    "result": Result,
    "dropped": Dropped,
    "ack": Ack,
    "trigger": TriggerMessage,
    "birth": Birth,
    "state": State,
    "camera-status": CameraStatus,
    "alarm": Alarm,
    "metrics": Metrics,
    "fleet": FleetStatus,
    "command": Command,
    "reply": Reply,
}

OPEN = "Ignore properties that are not listed here: later versions of edgeflow add some under the same name."
M = TypeVar("M", bound=Message)


def to_json(message: Message) -> bytes:
    """UTF-8 JSON of a message, keys as in its schema."""
    return message.model_dump_json(by_alias=True).encode()


def from_json(model: type[M], payload: bytes) -> M:
    """Read a payload.

    Fields that this version does not know are ignored, since a newer one may have added them; only a
    command is refused whole, because it must not be carried out in part.

    Raises:
        DataError: not JSON, or not this message; carries every problem.
    """
    return parse_message(model, model.tidied(plain_data(model, payload)))


def plain_data(model: type[Message], payload: bytes) -> Any:
    """A payload as plain data; NULs at its end, as from a buffer of fixed length, are no part of it.

    Raises:
        DataError: not JSON.
    """
    try:
        try:
            return json.loads(payload)
        except ValueError:
            if not payload.endswith(b"\0"):
                raise
            return json.loads(payload.rstrip(b"\0"))
    except (ValueError, RecursionError) as cause:
        raise DataError(f"{_what(model)} is not JSON: {cause}") from cause


def parse_message(model: type[M], data: object) -> M:
    """Plain data as a message.

    Raises:
        DataError: not this message; carries every problem.
    """
    return parse_document(model, data, what=_what(model), error=DataError, unknown=model.unknown_fields)


def _what(model: type[Message]) -> str:
    return "trigger message" if model is TriggerMessage else f"{model.__name__.lower()} message"


def json_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of one message as the model defines it, open for what later versions add."""
    schema = _opened(MESSAGES[name].model_json_schema(by_alias=True, mode="serialization"))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$comment": OPEN, **schema}


def _opened(schema: Any) -> Any:
    """A schema whose objects may have more properties than it knows, at every level."""
    if isinstance(schema, list):
        return [_opened(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _opened(value)
        for key, value in schema.items()
        if not (key == "additionalProperties" and value is False)
    }


def shipped_schema(name: str) -> dict[str, Any]:
    """The JSON Schema file that ships with edgeflow, for consumers in any language."""
    text = (
        resources.files("edgeflow.contracts").joinpath("schemas").joinpath(f"{name}.json").read_text("utf-8")
    )
    schema: dict[str, Any] = json.loads(text)
    return schema
