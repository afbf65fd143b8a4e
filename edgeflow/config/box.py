"""The inspection box's YAML file as frozen models: complete, no inheritance, no unknown keys."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, model_validator

from edgeflow.config.alarms import AlarmsConfig
from edgeflow.config.cameras import (
    CameraConfig,
    FileConfig,
    GenicamConfig,
    ReplayConfig,
    RtspConfig,
    V4l2Config,
)
from edgeflow.config.capture import SyncConfig, TriggerConfig
from edgeflow.config.commands import CommandsConfig, IssuerConfig
from edgeflow.config.delivery import (
    EvidenceConfig,
    MqttConfig,
    OutboxConfig,
    SealConfig,
    StationConfig,
    TlsConfig,
)
from edgeflow.config.history import HistoryConfig, ShiftsConfig
from edgeflow.config.monitoring import LogConfig, MetricsConfig
from edgeflow.config.products.rules import product_problems, shadow_problem
from edgeflow.config.products.section import ProductName, Products
from edgeflow.config.products.short_form import with_product_sections
from edgeflow.config.scoring import DecisionConfig, RuntimeConfig, TrustConfig
from edgeflow.config.servers.fieldbus import ModbusConfig, OpcUaConfig
from edgeflow.config.servers.web import WebConfig
from edgeflow.config.updates.fleet import FleetConfig
from edgeflow.config.updates.shadow import ShadowConfig
from edgeflow.config.views import ViewsConfig
from edgeflow.contracts.documents.document import Document, parse_document
from edgeflow.contracts.documents.paths import against, named_in_text
from edgeflow.contracts.documents.problems import ON_COMMAND_LINE
from edgeflow.contracts.documents.strict_yaml import Lines, read_yaml, read_yaml_text
from edgeflow.contracts.manifest import ViewId
from edgeflow.errors import ConfigError

__all__ = [
    "AlarmsConfig",
    "BoxConfig",
    "CameraConfig",
    "CommandsConfig",
    "DecisionConfig",
    "EvidenceConfig",
    "FileConfig",
    "FleetConfig",
    "GenicamConfig",
    "HistoryConfig",
    "IssuerConfig",
    "LogConfig",
    "MetricsConfig",
    "ModbusConfig",
    "MqttConfig",
    "OpcUaConfig",
    "OutboxConfig",
    "ReplayConfig",
    "RtspConfig",
    "RuntimeConfig",
    "SealConfig",
    "ShadowConfig",
    "ShiftsConfig",
    "StationConfig",
    "SyncConfig",
    "TlsConfig",
    "TriggerConfig",
    "TrustConfig",
    "V4l2Config",
    "WebConfig",
    "config_sha256",
    "load_config",
]


def _bundle_or_products(schema: dict[str, Any]) -> None:
    schema["required"] = [name for name in schema["required"] if name != "bundle"]
    schema["oneOf"] = [{"required": ["bundle"]}, {"required": ["products"]}]


def _is_none(value: object) -> bool:
    return value is None


class BoxConfig(Document):
    """One inspection box, whole."""

    model_config = ConfigDict(json_schema_extra=_bundle_or_products)

    station: StationConfig
    bundle: Path = Field(
        description="bundle file that the box runs, unless it has products; commands can change it while the "
        "box runs"
    )
    products: Products | None = Field(
        default=None,
        exclude_if=_is_none,
        description="products of the line in place of bundle: name → bundle file, or a section with more",
    )
    product: ProductName | None = Field(
        default=None,
        exclude_if=_is_none,
        description="product that is inspected until the command 'product' names another one; default: none, "
        "and parts are UNDECIDED until then",
    )
    trigger: TriggerConfig
    cameras: dict[ViewId, CameraConfig] = Field(
        min_length=1, description="one camera for each view of the bundle, by the view's name"
    )
    sync: SyncConfig
    decision: DecisionConfig
    runtime: RuntimeConfig
    mqtt: MqttConfig
    outbox: OutboxConfig
    evidence: EvidenceConfig | None = None
    history: HistoryConfig = HistoryConfig()
    shifts: ShiftsConfig | None = None
    trust: TrustConfig | None = None
    commands: CommandsConfig = CommandsConfig()
    views: ViewsConfig = ViewsConfig()
    alarms: AlarmsConfig = AlarmsConfig()
    web: WebConfig = WebConfig()
    opcua: OpcUaConfig | None = Field(default=None, exclude_if=_is_none)
    modbus: ModbusConfig | None = Field(default=None, exclude_if=_is_none)
    metrics: MetricsConfig = MetricsConfig()
    log: LogConfig = LogConfig()
    shadow: ShadowConfig | None = Field(default=None, exclude_if=_is_none)
    fleet: FleetConfig | None = Field(default=None, exclude_if=_is_none)

    @property
    def history_path(self) -> Path:
        """The database of all results and labels."""
        return self.history.path or self.outbox.path.with_name("history.db")

    @property
    def drift_path(self) -> Path:
        """The state of the watch over drifting scores."""
        return self.outbox.path.with_name("drift.json")

    @property
    def audit_path(self) -> Path:
        """The record of commands."""
        return self.commands.audit or self.outbox.path.with_name("audit.jsonl")

    @property
    def product_path(self) -> Path:
        """The record of the product that was commanded last."""
        return self.outbox.path.with_name("product.json")

    @property
    def proposal_path(self) -> Path:
        """New thresholds that the page proposes, until somebody accepts them."""
        return self.outbox.path.with_name("proposal.json")

    @property
    def shadow_path(self) -> Path:
        """The database of parts that a candidate bundle scored; its pictures lie in a folder beside it."""
        return self.outbox.path.with_name("shadow.db")

    @property
    def fleet_path(self) -> Path:
        """Folder of what the box knows of its fleet's repository."""
        return self.outbox.path.with_name("fleet")

    @property
    def control_socket(self) -> Path:
        """Path of the socket on which the running box listens for ``edgeflow ctl``."""
        return self.commands.socket or self.outbox.path.with_suffix(".sock")

    @property
    def web_users_path(self) -> Path:
        """The users of the box's page and of its OPC UA server."""
        return self.web.users or self.outbox.path.with_name("web-users.json")

    @property
    def opcua_path(self) -> Path:
        """Folder with the certificates of the box's OPC UA server and its clients."""
        given = None if self.opcua is None else self.opcua.certificates
        return given or self.outbox.path.with_name("opcua")

    @property
    def topic_root(self) -> str:
        """First levels of all MQTT topics of this box."""
        s = self.station
        return self.mqtt.root or f"edgeflow/v1/{s.site}/{s.line}/{s.station}"

    @property
    def device_name(self) -> str:
        """The box's name among all boxes: its MQTT client id unless one is given."""
        s = self.station
        return self.mqtt.client_id or f"edgeflow-{s.site}-{s.line}-{s.station}"

    @model_validator(mode="after")
    def _products_fit(self) -> BoxConfig:
        problem = product_problems(self.products, self.product, self.trigger, self.trust, self.runtime)
        if problem:
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _shadow_is_of_a_product(self) -> BoxConfig:
        problem = shadow_problem(self.shadow, self.products)
        if problem:
            raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _a_short_line_has_no_signature(self) -> BoxConfig:
        if self.decision.compact and self.mqtt.seal is not None:
            raise ValueError(
                "decision.compact: the short line has no signature, which mqtt.seal is for; leave out one"
            )
        return self

    @model_validator(mode="after")
    def _min_views_leave_one_out(self) -> BoxConfig:
        least = self.sync.min_views
        if least is not None and least >= len(self.cameras):
            raise ValueError(
                f"sync.min_views: {least} of {len(self.cameras)} cameras leave none that may be missing"
            )
        return self

    @model_validator(mode="after")
    def _free_replay_needs_a_rate(self) -> BoxConfig:
        by_themselves = self.trigger.source in ("free", "hardware")
        wrong = [
            f"cameras.{view}.rate_hz"
            for view, camera in self.cameras.items()
            if isinstance(camera, ReplayConfig) and by_themselves != camera.by_itself
        ]
        if wrong:
            raise ValueError(
                f"{', '.join(wrong)}: goes with trigger.source: free or hardware, and only with these"
            )
        return self


def load_config(path: Path, overrides: tuple[str, ...] = ()) -> BoxConfig:
    """Read a box file; relative paths in it are relative to its folder.

    Args:
        overrides: ``key.path=value`` settings that replace values of the file; the value is YAML.

    Raises:
        ConfigError: with every problem, each with its path, line and what is allowed.
    """
    data, lines = read_yaml(path)
    problems = [problem for override in overrides for problem in _override(data, lines, override)]
    if problems:
        raise ConfigError("a setting on the command line cannot be used", problems=problems)
    data, problems = with_product_sections(data)
    if problems:
        raise ConfigError(f"{path}: its products are refused", problems=problems)
    config = parse_document(BoxConfig, data, what=str(path), error=ConfigError, lines=lines)
    return _with_record(_absolute(config, named_in_text(path.resolve().parent)))


def config_sha256(config: BoxConfig) -> str:
    """Hash of the effective configuration; holds no secret, since the file holds none."""
    return hashlib.sha256(config.model_dump_json().encode()).hexdigest()


def _override(data: object, lines: Lines, override: str) -> list[str]:
    """Replace one value in ``data``, or say why that cannot be done."""
    key, separator, text = override.partition("=")
    steps = key.split(".")
    if not separator or not all(steps):
        return [f"--set {override}: write it as key.path=value"]
    try:
        value, _ = read_yaml_text(text or "null", what=f"--set {key}")
    except ConfigError as error:
        return ["; ".join([error.message, *error.problems])]
    target = data
    for step in steps[:-1]:
        if not isinstance(target, dict) or not isinstance(target.setdefault(step, {}), dict):
            return [f"--set {key}: '{step}' is not a section"]
        target = target[step]
    if not isinstance(target, dict):
        return [f"--set {key}: the file is not a mapping of keys"]
    target[steps[-1]] = value
    replaced = tuple(steps)
    for path in [path for path in lines if path[: len(replaced)] == replaced]:
        del lines[path]
    lines[replaced] = ON_COMMAND_LINE
    for n in range(1, len(steps)):  # sections that this made
        lines.setdefault(replaced[:n], ON_COMMAND_LINE)
    return []


def _absolute(config: BoxConfig, base: Path) -> BoxConfig:
    """Relative paths made absolute against the box file's folder."""

    def resolved(value: object) -> object:
        if isinstance(value, Path):
            return against(base, value)
        if isinstance(value, Document):
            return value.model_copy(update={name: resolved(v) for name, v in value})
        if isinstance(value, tuple):
            return tuple(resolved(v) for v in value)
        if isinstance(value, dict):
            return {key: resolved(v) for key, v in value.items()}
        return value

    result = resolved(config)
    if not isinstance(result, BoxConfig):
        raise TypeError("a box configuration resolves to itself")
    return result


def _with_record(config: BoxConfig) -> BoxConfig:
    """The place of the record of bundles, where the file leaves it open."""
    trust = config.trust
    if trust is None or trust.installed is not None:
        return config
    beside = trust.model_copy(update={"installed": config.outbox.path.with_name("installed.json")})
    return config.model_copy(update={"trust": beside})
