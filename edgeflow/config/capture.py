"""Sections of a box file: trigger and synchronization."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgeflow.config.units import Milliseconds
from edgeflow.contracts.documents.document import Document, Text
from edgeflow.contracts.message_parts.trigger_fields import TRIGGER_KEYS

__all__ = ["SyncConfig", "TriggerConfig"]

FieldName = Annotated[str, Text(pattern=r"^[^\x00-\x1f\x7f]{1,128}$", words="a name of up to 128 characters")]


def _is_none(value: object) -> bool:
    return value is None


OnMissing = Literal["undecided", "ng", "degraded"]


class TriggerConfig(Document):
    """Start of a part's inspection.

    ``interval``: a software trigger to all cameras every ``period_ms``.
    ``mqtt``: a software trigger to all cameras at every message on the ``trigger`` topic.
    ``hardware``: the cameras have a trigger line; their counters tell which frames are one part, and with
    ``part_ids: mqtt`` messages on the ``trigger`` topic name them.
    ``free``: cameras run by themselves; frames that belong together by time make a view set.
    """

    source: Literal["interval", "mqtt", "hardware", "free"] = Field(
        description="what starts a part: the box's timer, an MQTT message, a hardware signal at the "
        "cameras, or the frames of cameras that run freely"
    )
    period_ms: Milliseconds | None = Field(
        default=None, description="milliseconds between two triggers; required with source interval"
    )
    timeout_ms: Milliseconds = Field(
        default=500,
        description="milliseconds after a trigger in which frames must arrive; later ones count as missing",
    )
    part_ids: Literal["mqtt"] | None = Field(
        default=None,
        description="with source hardware: MQTT messages name the parts; default: they are numbered",
    )
    part_id_window_ms: Milliseconds | None = Field(
        default=None,
        description="milliseconds by which a naming message may be away from its frames; less than half "
        "the time between two parts",
    )

    min_period_ms: Milliseconds | None = Field(
        default=None,
        description="shortest time between two parts in milliseconds, where messages announce them: "
        "messages delayed by more than half of it are refused, and a name is used only where "
        "it can belong to no neighbouring part; default: twice part_id_window_ms",
    )

    product: FieldName | None = Field(
        default=None,
        exclude_if=_is_none,
        description="field of the trigger message that names the part's product, of those in products; "
        "default: the product is that of the box file, or of the latest command 'product'",
    )

    @model_validator(mode="after")
    def _product_comes_by_message(self) -> TriggerConfig:
        if self.product is not None and not self.by_mqtt:
            raise ValueError("product goes with trigger messages: source: mqtt, or part_ids: mqtt")
        if self.product in (*TRIGGER_KEYS, "context"):
            raise ValueError(f"product: '{self.product}' is a field of edgeflow's own; name another one")
        return self

    @model_validator(mode="after")
    def _period_belongs_to_interval(self) -> TriggerConfig:
        if (self.source == "interval") != (self.period_ms is not None):
            raise ValueError("period_ms goes with source: interval, and only with it")
        return self

    @model_validator(mode="after")
    def _names_belong_to_hardware(self) -> TriggerConfig:
        if self.part_ids and self.source != "hardware":
            raise ValueError("part_ids goes with source: hardware; triggers by mqtt name their parts anyway")
        if (self.part_ids is not None) != (self.part_id_window_ms is not None):
            raise ValueError("part_id_window_ms goes with part_ids, and only with it")
        return self

    @property
    def by_mqtt(self) -> bool:
        """True if the box listens to the ``trigger`` topic."""
        return self.source == "mqtt" or self.part_ids == "mqtt"


class SyncConfig(Document):
    """Rules by which frames count as one part, and the treatment of a part with missing views."""

    max_skew_ms: Milliseconds = Field(
        description="largest difference in milliseconds between the exposures of one part's frames"
    )
    window_ms: Milliseconds | None = Field(
        default=None,
        description="milliseconds for exposure, transfer and margin: frames stamped later than this after "
        "their trigger are not used; default: trigger.timeout_ms. With source hardware: the "
        "largest difference that transfer makes between stamps of one moment; default: "
        "max_skew_ms",
    )
    frame_delay_ms: Annotated[float, Field(ge=0, le=10_000)] = Field(
        default=0,
        description="for cameras that run freely without a clock of their own (USB video, network "
        "streams): milliseconds from the start of an exposure to the frame's stamp. A frame "
        "stamped earlier than this after a trigger was exposed before it, and is not used",
    )
    transfer_ms: Milliseconds | None = Field(
        default=None,
        description="for cameras whose clock cannot be read (no GenICam time-stamp latch): shortest time "
        "in milliseconds from exposure to arrival of an image. Without it, trigger source "
        "hardware cannot assign their images to parts",
    )
    on_missing: OnMissing = Field(
        default="undecided",
        description="verdict of a part with missing views: UNDECIDED, NG, or scored from the others "
        "(degraded)",
    )
    min_views: int | None = Field(
        default=None, ge=1, description="with on_missing degraded: parts with fewer views are UNDECIDED"
    )

    @model_validator(mode="after")
    def _min_views_belong_to_degraded(self) -> SyncConfig:
        if (self.on_missing == "degraded") != (self.min_views is not None):
            raise ValueError("min_views goes with on_missing: degraded, and only with it")
        return self
