"""The box's YAML file: complete and exact, or refused with everything that is wrong with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgeflow.config.box import (
    BoxConfig,
    FileConfig,
    MqttConfig,
    ReplayConfig,
    TlsConfig,
    TriggerConfig,
    V4l2Config,
    config_sha256,
    load_config,
)
from edgeflow.errors import ConfigError

BOX = """\
station: {site: plant1, line: l3, station: s2}
bundle: bundles/current.bundle
trigger: {source: interval, period_ms: 500}
cameras:
  top: {kind: v4l2, device: /dev/v4l/by-id/usb-cam-1, fourcc: MJPG}
  left:
    kind: replay
    parts: parts
sync: {max_skew_ms: 2}
decision: {deadline_ms: 250}
runtime: {backend: openvino}
mqtt: {host: broker}
outbox: {path: outbox.db}
"""


def box(tmp_path: Path, *changes: tuple[str, str], overrides: tuple[str, ...] = ()) -> BoxConfig:
    """The box file with parts of its text replaced, loaded."""
    text = BOX
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file = tmp_path / "box.yaml"
    file.write_text(text, encoding="utf-8")
    return load_config(file, overrides)


def problems(tmp_path: Path, *changes: tuple[str, str], overrides: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        box(tmp_path, *changes, overrides=overrides)
    assert caught.value.exit_code == 2
    return list(caught.value.problems)


def test_a_complete_file_gives_values_and_defaults(tmp_path: Path) -> None:
    config = box(tmp_path)
    assert list(config.cameras) == ["top", "left"]
    assert isinstance(config.cameras["top"], V4l2Config)
    assert isinstance(config.cameras["left"], ReplayConfig)
    assert config.trigger == TriggerConfig(source="interval", period_ms=500.0)
    assert (config.sync.on_missing, config.decision.on_late) == ("undecided", "undecided")
    assert (config.mqtt.port, config.mqtt.version, config.outbox.confirm) == (1883, "5", "consumer")
    assert (config.runtime.precision, config.runtime.device) == ("auto", "CPU")
    assert config.evidence is None


def test_every_problem_is_in_one_report_with_path_line_and_cure(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        ("site: plant1", "site: plant/1"),
        ("period_ms: 500", "period_ms: soon"),
        ("fourcc: MJPG", "fourcc: MJPEG"),
        ("    parts: parts", "    prats: parts"),
        ("backend: openvino", "backend: openvion"),
        ("host: broker", 'hots: broker, port: "8883"'),
    )
    assert found == [
        "station.site (line 1): expected a name of 1 to 64 characters without spaces or / + # $, "
        "got 'plant/1' (text)",
        "trigger.period_ms (line 3): expected a number, got 'soon' (text)",
        "cameras.top.fourcc (line 5): expected 4 letters or digits such as MJPG, got 'MJPEG' (text)",
        "cameras.left.parts (line 6): required key is missing",
        "cameras.left.prats (line 8): unknown key; did you mean 'parts'?; "
        "allowed: bits, kind, loop, orientation, parts, rate_hz, "
        "recorded_timing, view",
        "runtime.backend (line 11): unknown value 'openvion'; did you mean 'openvino'?; "
        "allowed: openvino, onnxruntime",
        "mqtt.host (line 12): required key is missing",
        "mqtt.port (line 12): expected a whole number, got '8883' (text); remove the quotes",
        "mqtt.hots (line 12): unknown key; did you mean 'host'?; allowed: client_id, "
        "home_assistant, host, keepalive_s, password_env, password_file, port, root, seal, tls, "
        "username, version",
    ]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("kind: replay", "kind: usb",
         "cameras.left.kind (line 7): unknown value 'usb'; allowed: replay, v4l2, rtsp, file, genicam"),
        ("kind: replay", "knid: replay",
         "cameras.left.kind (line 6): required key is missing; did you misspell it as 'knid'?; "
         "allowed: replay, v4l2, rtsp, file, genicam"),
        ("  left:", "  v4l2:\n    widht: 3",
         "cameras.v4l2.widht (line 7): unknown key; allowed: bits, kind, loop, orientation, parts, rate_hz, "
            "recorded_timing, view"),
        ("  left:", '  "left side":',
         "cameras.left side (line 6): expected a name of up to 64 letters, digits, . _ or -, "
         "beginning with a letter or digit, got 'left side' (text)"),
        ("host: broker", "host: broker, port: 0", "mqtt.port (line 12): must be at least 1, got 0"),
        ("host: broker", "host: broker, port: 99999",
         "mqtt.port (line 12): must be at most 65535, got 99999"),
        ("host: broker", "host: broker, version: 5",
         "mqtt.version (line 12): expected '5' as text, got 5 (a number); put it in quotes"),
        ("host: broker", "host: broker, root: 'plant/#'",
         "mqtt.root (line 12): expected names separated by single slashes, without spaces or + # $, "
         "got 'plant/#' (text)"),
        ("max_skew_ms: 2", "max_skew_ms: 0", "sync.max_skew_ms (line 9): must be greater than 0, got 0"),
        ("max_skew_ms: 2", "max_skew_ms: .inf",
         "sync.max_skew_ms (line 9): expected a number, got '.inf' (text)"),
        ("parts: parts", "parts: parts\n    loop: no",
         "cameras.left.loop (line 9): expected true or false, got 'no' (text)"),
        ("source: interval, period_ms: 500", "source: interval",
         "trigger (line 3): period_ms goes with source: interval, and only with it"),
        ("source: interval", "source: free",
         "trigger (line 3): period_ms goes with source: interval, and only with it"),
        ("host: broker", "host: broker, tls: {ca: ca.pem, cert: c.pem}",
         "mqtt.tls (line 12): cert and key go together"),
        ("outbox: {path: outbox.db}", "outbox: {path: outbox.db}\nevidence: {dir: e, save: NG}",
         "evidence.save (line 14): expected a list, got 'NG' (text); write [NG]"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_with_what_to_write(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    assert problems(tmp_path, (old, new)) == [sentence]


def test_the_short_line_of_a_decision_does_not_go_with_a_signature(tmp_path: Path) -> None:
    (found,) = problems(
        tmp_path, ("deadline_ms: 250", "deadline_ms: 250, compact: true"),
        ("host: broker", "host: broker, seal: {secret_file: s}"),
    )  # fmt: skip
    assert "decision.compact: the short line has no signature" in found


def test_replay_cameras_with_and_without_a_rate_are_all_named(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        ("source: interval, period_ms: 500", "source: free"),
        ("{kind: v4l2, device: /dev/v4l/by-id/usb-cam-1, fourcc: MJPG}", "{kind: replay, parts: parts}"),
    )
    assert found == [
        "cameras.top.rate_hz, cameras.left.rate_hz: goes with trigger.source: free or hardware, "
        "and only with these"
    ]


def test_a_secret_in_the_file_is_refused_and_never_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        box(tmp_path, ("host: broker", "host: broker, password: hunter2"))
    assert "mqtt.password (line 12): unknown key; did you mean 'password_env'?" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        box(tmp_path, ("host: broker", "host: mqtt://box7:hunter2@broker"))
    assert "expected a host name or address alone" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_password_stays_in_its_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    config = box(tmp_path, ("host: broker", "host: broker, username: box7, password_file: secret"))
    assert config.mqtt.password_file == tmp_path / "secret"
    shown = f"{config!r} {config} {config.model_dump()} {config.model_dump_json()}"
    assert "hunter2" not in shown


def test_relative_paths_are_relative_to_the_files_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    config = box(
        tmp_path,
        ("v4l2, device: /dev/v4l/by-id/usb-cam-1, fourcc: MJPG", "file, path: clips/top.mp4"),
        ("outbox.db}", "~/outbox.db}\nevidence: {dir: /var/evidence}"),
        ("host: broker", "host: broker, tls: {ca: ca.pem, cert: c.pem, key: k.pem}"),
        ("backend: openvino", "backend: openvino, cache_dir: cache"),
    )
    assert config.bundle == tmp_path / "bundles" / "current.bundle"
    assert isinstance(config.cameras["left"], ReplayConfig)
    assert config.cameras["left"].parts == tmp_path / "parts"
    assert isinstance(config.cameras["top"], FileConfig)
    assert config.cameras["top"].path == tmp_path / "clips" / "top.mp4"
    assert config.outbox.path == tmp_path / "home" / "outbox.db"
    assert config.evidence is not None
    assert config.evidence.dir == Path("/var/evidence")
    assert config.runtime.cache_dir == tmp_path / "cache"
    assert config.mqtt.tls == TlsConfig(
        ca=tmp_path / "ca.pem", cert=tmp_path / "c.pem", key=tmp_path / "k.pem"
    )


@pytest.mark.parametrize("device", ["0", "/dev/video0", "-1", "usb-cam-1", "/dev/v4l/by-id/a b"])
def test_a_device_that_may_be_another_camera_tomorrow_is_refused(tmp_path: Path, device: str) -> None:
    (found,) = problems(tmp_path, ("device: /dev/v4l/by-id/usb-cam-1", f'device: "{device}"'))
    assert "cameras.top.device (line 5): expected a path that stays: /dev/v4l/by-id/…" in found


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        ("{kind: genicam}", "give either serial or address"),
        ("{kind: genicam, serial: a, address: 10.0.0.2}", "give either serial or address"),
        (
            "{kind: genicam, serial: a, trigger_line: Line1, free_running: true}",
            "free_running and trigger_line exclude each other",
        ),
        ("{kind: rtsp, url: 'rtsp://c/1', username: box}", "username and password_file go together"),
        ("{kind: rtsp, url: 'file:///etc/passwd'}", "expected a URL such as rtsp://"),
    ],
)
def test_cameras_that_contradict_themselves_are_told(tmp_path: Path, camera: str, words: str) -> None:
    before = "{kind: v4l2, device: /dev/v4l/by-id/usb-cam-1, fourcc: MJPG}"
    (found,) = problems(tmp_path, (before, camera))
    assert found.startswith("cameras.top")
    assert words in found


def test_a_home_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"~no-such-user/x\.db: .*write the whole path"):
        box(tmp_path, ("path: outbox.db", "path: ~no-such-user/x.db"))


def test_settings_on_the_command_line_replace_values_of_the_file(tmp_path: Path) -> None:
    overrides = (
        "mqtt.port=8883", "mqtt.host=other", "cameras.left.loop=true", "bundle=a=b.bundle",
        "evidence.dir=/var/evidence", "evidence.save=[OK, NG]", "runtime.cache_dir=", "mqtt.version='3.1.1'",
    )  # fmt: skip
    config = box(tmp_path, overrides=overrides)
    assert (config.mqtt.port, config.mqtt.host, config.mqtt.version) == (8883, "other", "3.1.1")
    assert isinstance(config.cameras["left"], ReplayConfig)
    assert config.cameras["left"].loop
    assert config.bundle == tmp_path / "a=b.bundle"
    assert config.evidence is not None
    assert config.evidence.save == ("OK", "NG")
    assert config.runtime.cache_dir is None


def test_a_wrong_setting_on_the_command_line_is_told_apart_from_the_file(tmp_path: Path) -> None:
    found = problems(
        tmp_path, ("period_ms: 500", "period_ms: 0"), overrides=("mqtt.port=x", "mqtt.prt=1", "nwe.key=1")
    )
    assert found[0] == "trigger.period_ms (line 3): must be greater than 0, got 0"
    assert found[1] == "mqtt.port (--set): expected a whole number, got 'x' (text)"
    assert found[2].startswith("mqtt.prt (--set): unknown key; did you mean 'port'?")
    assert found[3].startswith("nwe (--set): unknown key")


def test_all_settings_that_cannot_be_applied_are_named(tmp_path: Path) -> None:
    overrides = ("port", "=1", "a..b=1", "mqtt.host.x=1", "mqtt.port=[", "mqtt.port={a: 1, a: 2}", "a=&x 1")
    found = problems(tmp_path, overrides=overrides)
    assert len(found) == len(overrides)
    assert found[0] == "--set port: write it as key.path=value"
    assert found[3] == "--set mqtt.host.x: 'host' is not a section"
    assert found[4].startswith("--set mqtt.port: not valid YAML: ")
    assert "key given twice" in found[5]
    assert "anchor; write the values out" in found[6]


def test_settings_cannot_be_applied_to_what_is_no_mapping(tmp_path: Path) -> None:
    file = tmp_path / "box.yaml"
    file.write_text("- a\n")
    with pytest.raises(ConfigError, match="the file is not a mapping of keys"):
        load_config(file, ("a=1",))
    with pytest.raises(ConfigError, match="expected a section of keys, got a list"):
        load_config(file)


def test_the_hash_is_of_the_effective_values(tmp_path: Path) -> None:
    first = config_sha256(box(tmp_path))
    assert first == config_sha256(box(tmp_path, ("deadline_ms: 250}", "deadline_ms: 250.0} # the gate")))
    assert first == config_sha256(box(tmp_path, overrides=("mqtt.port=1883",)))
    assert first != config_sha256(box(tmp_path, overrides=("mqtt.port=1884",)))


def test_topics_and_client_id_come_from_the_station_unless_given(tmp_path: Path) -> None:
    config = box(tmp_path)
    assert config.topic_root == "edgeflow/v1/plant1/l3/s2"
    assert config.device_name == "edgeflow-plant1-l3-s2"
    named = box(tmp_path, overrides=("mqtt.root=factory/box7", "mqtt.client_id=box7"))
    assert (named.topic_root, named.device_name) == ("factory/box7", "box7")


def test_addresses_of_both_kinds_are_hosts() -> None:
    for host in ("broker", "broker.plant1.example", "10.0.0.1", "::1", "fe80::1%eth0"):
        assert MqttConfig(host=host).host == host


def test_trust_section_names_files_beside_the_box_file(tmp_path: Path) -> None:
    trust = "outbox: {path: state/outbox.db}\ntrust: {keys: [line.pub.pem], device_class: n100}\n"
    config = box(tmp_path, ("outbox: {path: outbox.db}\n", trust))
    assert config.trust is not None
    assert config.trust.keys == (tmp_path / "line.pub.pem",)
    assert config.trust.installed == tmp_path / "state" / "installed.json"
    assert not config.trust.allow_older
    assert box(tmp_path).trust is None


@pytest.mark.parametrize(
    ("trust", "sentence"),
    [
        ("{keys: []}", "trust.keys (line 13): needs at least 1 entry"),
        ("{keys: line.pub.pem}", "trust.keys (line 13): expected a list"),
        ("{device_class: N 100}", "trust.device_class (line 13): expected a name of up to 64 lower-case"),
        ("{key: [a]}", "trust.key (line 13): unknown key; did you mean 'keys'?"),
    ],
)
def test_trust_section_that_would_trust_by_mistake_is_refused(
    tmp_path: Path, trust: str, sentence: str
) -> None:
    (found,) = problems(tmp_path, ("outbox:", f"trust: {trust}\noutbox:"))
    assert found.startswith(sentence)


def test_the_cameras_of_the_documentation_load(tmp_path: Path, repository: Path) -> None:
    page = (repository / "docs" / "how-to" / "cameras.md").read_text("utf-8")
    (example,) = re.findall(r"^# cameras.yaml.*?\ncameras:\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    start = BOX.index("  top:")
    config = box(tmp_path, (BOX[start : BOX.index("sync:")], example))
    assert [camera.kind for camera in config.cameras.values()] == ["genicam", "v4l2", "rtsp"]
