"""One alarm per kind of topic for what the broker does not take, and none that outlives it."""

from __future__ import annotations

from edgeflow.alarms import Alarms
from edgeflow.contracts.messages import Alarm
from edgeflow.mqtt.broker.refusals import Refusals


class Board:
    """Collects the alarms that would be published."""

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        """Nobody reads it here."""


def alarms_of(refusals: Refusals) -> Alarms:
    alarms = Alarms("s", Board())
    refusals.report_to(alarms)
    return alarms


def test_topics_of_a_kind_share_an_alarm_that_ends_with_the_last_of_them() -> None:
    refusals = Refusals("a/b")
    alarms = alarms_of(refusals)
    for view in ("top", "left", "right"):
        refusals.note("broker_refuses", "error", f"a/b/camera/{view}/status", "refused")
    (alarm,) = alarms.standing()
    assert (alarm.code, alarm.subject, alarm.severity) == ("broker_refuses", "camera", "error")
    assert alarm.text == "a/b/camera/top/status: refused; and 2 more topics of this kind"
    assert len(refusals.texts) == 3
    refusals.over("a/b/camera/top/status", "broker_refuses")
    assert alarms.standing()[0].text == "a/b/camera/left/status: refused; and 1 more topics of this kind"
    refusals.over("a/b/camera/left/status", "broker_refuses")
    refusals.over("a/b/camera/right/status", "broker_refuses")
    assert (alarms.standing(), refusals.texts) == ((), ())


def test_a_topic_that_is_heard_and_said_has_two_refusals() -> None:
    refusals = Refusals("a")
    refusals.note("broker_refuses", "error", "a/availability", "may not be heard", subscription=True)
    refusals.over("a/availability", "broker_refuses")
    assert refusals.texts == ("a/availability: may not be heard",)
    refusals.over("a/availability", "broker_refuses", subscription=True)
    assert refusals.texts == ()


def test_codes_are_apart() -> None:
    refusals = Refusals("a")
    alarms = alarms_of(refusals)
    refusals.note("broker_refuses", "error", "a/decision", "refused")
    refusals.note("decisions_unheard", "warning", "a/decision", "nobody")
    assert [(alarm.code, alarm.severity) for alarm in alarms.standing()] == [
        ("broker_refuses", "error"),
        ("decisions_unheard", "warning"),
    ]
    refusals.over("a/decision", "decisions_unheard")
    assert [alarm.code for alarm in alarms.standing()] == ["broker_refuses"]


def test_what_stood_before_anybody_asked_is_told() -> None:
    refusals = Refusals("a")
    refusals.note("broker_refuses", "error", "a/decision", "refused")
    assert [alarm.name for alarm in alarms_of(refusals).standing()] == ["broker_refuses.decision"]


def test_a_connection_that_does_not_come_about_is_an_alarm_until_it_does() -> None:
    refusals = Refusals("a")
    refusals.connection("h:1", "nothing listens there")
    alarms = alarms_of(refusals)
    refusals.connection("h:1", "nothing listens there")
    assert alarms.standing()[0].text == "MQTT broker h:1: nothing listens there"
    refusals.connection("h:1", "")
    assert alarms.standing() == ()
