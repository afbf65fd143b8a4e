"""The shipped alert rules, judged by promtool: each fires on its fault alone, and none on a healthy box."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.prometheus import program

ALERTS = Path(__file__).resolve().parents[3] / "firmware_configs" / "prometheus" / "edgeflow-alerts.yml"
MINUTES = 31
"""Values of each series of a short story, one a minute."""

HEALTHY = {
    'up{job="edgeflow",instance="b"}': "1x30",
    'edgeflow_state{state="ContinuousExecution",instance="b"}': "1x30",
    'edgeflow_parts_total{verdict="OK",instance="b"}': "0+600x30",
    'edgeflow_parts_total{verdict="NG",instance="b"}': "0+3x30",
    'edgeflow_parts_total{verdict="UNDECIDED",instance="b"}': "0+1x30",
    'edgeflow_deadlines_missed_total{instance="b"}': "0x30",
    'edgeflow_decisions_unsent_total{instance="b"}': "0x30",
    'edgeflow_outbox_oldest_age_seconds{instance="b"}': "1x30",
    'edgeflow_outbox_dropped_results_total{instance="b"}': "0x30",
    'edgeflow_camera_up{view="C1",instance="b"}': "1x30",
    'edgeflow_camera_reconnects_total{view="C1",instance="b"}': "0x30",
    'edgeflow_camera_frames_lost_total{view="C1",instance="b"}': "0x30",
    'edgeflow_temperature_celsius{zone="thermal_zone0",type="x86_pkg_temp",instance="b"}': "60x30",
    'edgeflow_history_missed_results_total{instance="b"}': "0x30",
    'edgeflow_evidence_lost_parts_total{instance="b"}': "0x30",
    'edgeflow_watchdog_fed_age_seconds{instance="b"}': "5x30",
    'edgeflow_watchdog_limit_seconds{instance="b"}': "30x30",
    'edgeflow_watchdog_supervised{instance="b"}': "1x30",
}
FAULTS: dict[str, dict[str, str]] = {
    "EdgeflowBoxDown": {'up{job="edgeflow",instance="b"}': "0x30"},
    "EdgeflowNotInspecting": {'edgeflow_state{state="ContinuousExecution",instance="b"}': "0x30"},
    "EdgeflowAlarm": {'edgeflow_alarm{code="camera_stale",severity="error",instance="b"}': "1x30"},
    "EdgeflowWarning": {'edgeflow_alarm{code="outbox",severity="warning",instance="b"}': "1x30"},
    "EdgeflowUndecidedParts": {'edgeflow_parts_total{verdict="UNDECIDED",instance="b"}': "0+60x30"},
    "EdgeflowDecisionsLate": {'edgeflow_deadlines_missed_total{instance="b"}': "0+20x30"},
    "EdgeflowDecisionsLost": {'edgeflow_decisions_unsent_total{instance="b"}': "0+1x30"},
    "EdgeflowResultsWait": {'edgeflow_outbox_oldest_age_seconds{instance="b"}': "0+60x30"},
    "EdgeflowResultsDropped": {'edgeflow_outbox_dropped_results_total{instance="b"}': "0x20 9x9"},
    "EdgeflowCameraDown": {'edgeflow_camera_up{view="C1",instance="b"}': "1x20 0x9"},
    "EdgeflowCameraUnsteady": {'edgeflow_camera_reconnects_total{view="C1",instance="b"}': "0+1x30"},
    "EdgeflowHot": {
        'edgeflow_temperature_celsius{zone="thermal_zone0",type="x86_pkg_temp",instance="b"}': "91x30"
    },
    "EdgeflowHistoryGap": {'edgeflow_history_missed_results_total{instance="b"}': "0x20 3x9"},
    "EdgeflowEvidenceLost": {'edgeflow_evidence_lost_parts_total{instance="b"}': "0x20 3x9"},
    "EdgeflowWatchdogLate": {'edgeflow_watchdog_fed_age_seconds{instance="b"}': "5x28 21 27"},
}
LONG_MINUTES = 10
"""Between two values of a long story, which lasts for more than a day."""
LONG: dict[str, tuple[int, dict[str, str]]] = {  # number of values, and series
    "EdgeflowRejectsRise": (
        153,
        {
            'edgeflow_parts_total{verdict="OK",instance="b"}': "0+6000x152",
            'edgeflow_parts_total{verdict="NG",instance="b"}': "0+30x145 4390+600x6",
        },
    ),
    "EdgeflowMemoryGrows": (
        153,
        {
            'process_resident_memory_bytes{job="edgeflow",instance="b"}': "300000000x9 700000000x142",
            'process_start_time_seconds{job="edgeflow",instance="b"}': "-90000x152",
        },
    ),
    "EdgeflowUnsupervised": (10, {'edgeflow_watchdog_supervised{instance="b"}': "0x9"}),
}
STEADY_DAY = {
    'edgeflow_parts_total{verdict="OK",instance="b"}': "0+6000x152",
    'edgeflow_parts_total{verdict="NG",instance="b"}': "0+300x152",
    'process_resident_memory_bytes{job="edgeflow",instance="b"}': "300000000x152",
    'process_start_time_seconds{job="edgeflow",instance="b"}': "-90000x152",
}


def story(series: dict[str, str], *, minutes: int, count: int, fires: list[str]) -> dict[str, Any]:
    """One test of promtool: the alerts that fire at the last of ``count`` values, and no others."""
    return {
        "interval": f"{minutes}m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{(count - 1) * minutes}m",
                "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in fires],
            }
        ],
    }


def judged(folder: Path, stories: list[dict[str, Any]], minutes: int) -> subprocess.CompletedProcess[str]:
    shutil.copy(ALERTS, folder / "alerts.yml")
    document = {"rule_files": ["alerts.yml"], "evaluation_interval": f"{minutes}m", "tests": stories}
    (folder / "tests.yml").write_text(yaml.safe_dump(document))
    command = [program("promtool"), "test", "rules", str(folder / "tests.yml")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_each_alert_fires_on_its_fault_alone_and_none_on_a_healthy_box(tmp_path: Path) -> None:
    stories = [story(HEALTHY, minutes=1, count=MINUTES, fires=[])]
    for alert, fault in FAULTS.items():
        stories.append(story(HEALTHY | fault, minutes=1, count=MINUTES, fires=[alert]))
    done = judged(tmp_path, stories, 1)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_takes_a_day_to_be_seen_is_seen_and_a_steady_day_is_quiet(tmp_path: Path) -> None:
    stories = [story(STEADY_DAY, minutes=LONG_MINUTES, count=153, fires=[])]
    for alert, (count, series) in LONG.items():
        stories.append(story(series, minutes=LONG_MINUTES, count=count, fires=[alert]))
    done = judged(tmp_path, stories, LONG_MINUTES)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_story_that_ends_otherwise_is_noticed(tmp_path: Path) -> None:
    done = judged(tmp_path, [story(HEALTHY, minutes=1, count=MINUTES, fires=["EdgeflowHot"])], 1)
    assert done.returncode == 1
    assert "EdgeflowHot" in done.stdout + done.stderr


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    return list(group["rules"])


def test_every_alert_is_tried_here() -> None:
    assert {rule["alert"] for rule in rules()} == set(FAULTS) | set(LONG)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_alert_says_where_it_is_and_is_explained(rule: dict[str, Any], repository: Path) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert "{{ $labels.instance }}" in rule["annotations"]["summary"]
    page = (repository / "docs" / "how-to" / "metrics.md").read_text()
    assert f"| `{rule['alert']}` |" in page
