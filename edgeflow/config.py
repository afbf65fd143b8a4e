"""The inspection box's YAML file as frozen models: complete, no inheritance, no unknown keys."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgeflow.contracts.document import Document, Text, parse_document
from edgeflow.contracts.manifest import DeviceClass, ViewId
from edgeflow.contracts.problems import ON_COMMAND_LINE
from edgeflow.contracts.strict_yaml import Lines, read_yaml, read_yaml_text
from edgeflow.errors import ConfigError

__all__ = [
    "BoxConfig",
    "CameraConfig",
    "DecisionConfig",
    "EvidenceConfig",
    "MqttConfig",
    "OpenCvConfig",
    "OutboxConfig",
    "ReplayConfig",
    "RuntimeConfig",
    "StationConfig",
    "SyncConfig",
    "TlsConfig",
    "TriggerConfig",
    "TrustConfig",
    "config_sha256",
    "load_config",
]

TopicLevel = Annotated[
    str,
    Text(pattern=r"^[^/+#\s\x00$]{1,64}$", words="a name of 1 to 64 characters without spaces or / + # $"),
]
TopicRoot = Annotated[
    str,
    Text(
        pattern=r"^[^/+#\s\x00$]+(/[^/+#\s\x00$]+)*$",
        words="names separated by single slashes, without spaces or + # $",
    ),
]
HostName = Annotated[
    str, Text(pattern=r"^[^\s/@]+$", words="a host name or address alone, without mqtt:// and user")
]
FourCc = Annotated[str, Text(pattern=r"^[A-Za-z0-9]{4}$", words="4 letters or digits such as MJPG")]
DeviceName = Annotated[
    str, Text(pattern=r"^[A-Za-z0-9_.:,-]+$", words="a device such as CPU, GPU, NPU or GPU.1")
]
Milliseconds = Annotated[float, Field(gt=0, le=3_600_000)]
PolicyVerdict = Literal["undecided", "ng"]


class StationConfig(Document):
    """Where the box stands; names the MQTT topics."""

    site: TopicLevel
    line: TopicLevel
    station: TopicLevel


class TriggerConfig(Document):
    """What starts the inspection of a part.

    ``interval``: a software trigger to all cameras every ``period_ms``.
    ``free``: cameras run by themselves; frames that belong together by time make a view set.
    """

    source: Literal["interval", "free"]
    period_ms: Milliseconds | None = None
    timeout_ms: Milliseconds = Field(default=500, description="frames later than this are missing")

    @model_validator(mode="after")
    def _period_belongs_to_interval(self) -> TriggerConfig:
        if (self.source == "interval") != (self.period_ms is not None):
            raise ValueError("period_ms goes with source: interval, and only with it")
        return self


class ReplayConfig(Document):
    """Recorded parts played as a camera: the images of one view, part after part."""

    kind: Literal["replay"]
    parts: Path = Field(description="Real-IAD layout, or one folder per part")
    view: ViewId | None = Field(default=None, description="the view's name in the recording, if another")
    rate_hz: float | None = Field(default=None, gt=0, le=1000, description="with trigger source free")
    loop: bool = False


class OpenCvConfig(Document):
    """A camera read through OpenCV: a device, a video file or a network stream."""

    kind: Literal["opencv"]
    source: str = Field(min_length=1, description="/dev/v4l/by-id/…, a file, or a URL such as rtsp://…")
    width: int | None = Field(default=None, gt=0)
    height: int | None = Field(default=None, gt=0)
    fps: float | None = Field(default=None, gt=0)
    fourcc: FourCc | None = None
    open_timeout_ms: Milliseconds = 5000
    read_timeout_ms: Milliseconds = 2000
    loop: bool = Field(default=False, description="start a file again at its end")


CameraConfig = Annotated[ReplayConfig | OpenCvConfig, Field(discriminator="kind")]


class SyncConfig(Document):
    """When frames count as one part."""

    max_skew_ms: Milliseconds
    on_missing: PolicyVerdict = "undecided"


class DecisionConfig(Document):
    """What the line is told, and until when."""

    deadline_ms: Milliseconds = Field(description="after the trigger")
    on_late: PolicyVerdict = "undecided"
    valid_ms: Milliseconds = Field(
        default=1000, description="a decision is worthless this long after its making"
    )


class RuntimeConfig(Document):
    """Which graph of the bundle runs where."""

    backend: Literal["openvino", "onnxruntime"]
    precision: Literal["auto", "fp32", "bf16", "int8"] = Field(
        default="auto", description="auto: int8 where the bundle has it, else bf16, else fp32"
    )
    device: DeviceName = "CPU"
    threads: int = Field(default=0, ge=0, le=1024, description="0: one per core")
    cache_dir: Path | None = None


class TlsConfig(Document):
    """Files for an encrypted connection; ``cert`` and ``key`` together, for a client certificate."""

    ca: Path
    cert: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def _cert_with_key(self) -> TlsConfig:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key go together")
        return self


class MqttConfig(Document):
    """The broker. Secrets come from a file, never from this one."""

    host: HostName
    port: int = Field(default=1883, ge=1, le=65535)
    version: Literal["5", "3.1.1"] = "5"
    keepalive_s: int = Field(default=5, ge=1, le=3600)
    root: TopicRoot | None = Field(
        default=None, description="topic root; default edgeflow/v1/{site}/{line}/{station}"
    )
    client_id: str | None = None
    username: str | None = None
    password_file: Path | None = None
    tls: TlsConfig | None = None


class OutboxConfig(Document):
    """Results wait here until they are delivered."""

    path: Path
    confirm: Literal["consumer", "broker"] = Field(
        default="consumer", description="who lets a result go: the consumer's ack, or the broker's"
    )
    max_rows: int = Field(
        default=1_000_000, gt=0, description="beyond it, the oldest OK results are dropped first"
    )


class EvidenceConfig(Document):
    """Images and maps kept per part."""

    dir: Path
    save: tuple[Literal["OK", "NG", "UNDECIDED"], ...] = ("NG", "UNDECIDED")
    min_free_gb: float = Field(default=1.0, ge=0, description="nothing is written below this much free disk")


class TrustConfig(Document):
    """Which bundles this box runs. Hashes and expiry are always checked, the rest where it is given."""

    keys: tuple[Path, ...] | None = Field(
        default=None, min_length=1, description="public keys; a bundle must be signed by one of them"
    )
    device_class: DeviceClass | None = Field(default=None, description="refuse bundles for another class")
    installed: Path | None = Field(
        default=None, description="record of the versions that ran; default installed.json beside the outbox"
    )
    allow_older: bool = Field(default=False, description="go back to an older version on purpose")


class BoxConfig(Document):
    """One inspection box, whole."""

    station: StationConfig
    bundle: Path
    trigger: TriggerConfig
    cameras: dict[ViewId, CameraConfig] = Field(min_length=1, description="view → camera")
    sync: SyncConfig
    decision: DecisionConfig
    runtime: RuntimeConfig
    mqtt: MqttConfig
    outbox: OutboxConfig
    evidence: EvidenceConfig | None = None
    trust: TrustConfig | None = None

    @property
    def topic_root(self) -> str:
        s = self.station
        return self.mqtt.root or f"edgeflow/v1/{s.site}/{s.line}/{s.station}"

    @property
    def device_name(self) -> str:
        """The box's name among all boxes: its MQTT client id unless one is given."""
        s = self.station
        return self.mqtt.client_id or f"edgeflow-{s.site}-{s.line}-{s.station}"

    @model_validator(mode="after")
    def _free_replay_needs_a_rate(self) -> BoxConfig:
        free = self.trigger.source == "free"
        wrong = [
            f"cameras.{view}.rate_hz"
            for view, camera in self.cameras.items()
            if isinstance(camera, ReplayConfig) and free != (camera.rate_hz is not None)
        ]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: goes with trigger.source: free, and only with it")
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
    config = parse_document(BoxConfig, data, what=str(path), error=ConfigError, lines=lines)
    return _with_record(_absolute(config, path.resolve().parent))


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
            return _against(base, value)
        if isinstance(value, OpenCvConfig) and _names_a_file(value.source):
            return value.model_copy(update={"source": str(_against(base, Path(value.source)))})
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


def _against(base: Path, path: Path) -> Path:
    try:
        return base / path.expanduser()
    except RuntimeError as cause:
        raise ConfigError(f"{path}: {cause}; write the whole path") from cause


def _names_a_file(source: str) -> bool:
    """Whether a camera's source is neither a URL nor a number, which the driver refuses."""
    return "://" not in source and not source.lstrip("-").isdigit()
