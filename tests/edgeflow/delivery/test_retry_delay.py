"""A consumer is asked again after what it usually takes, never sooner than 1 s nor later than 30 s."""

from __future__ import annotations

from edgeflow.delivery.retry_delay import RetryDelay


def test_a_quick_consumer_is_asked_again_after_a_second() -> None:
    delay = RetryDelay()
    assert delay.timeout_s() == 1.0
    for _ in range(100):
        delay.add(0.01)
    assert delay.timeout_s() == 1.0


def test_a_slow_consumer_is_given_more_than_it_usually_takes() -> None:
    delay = RetryDelay()
    for _ in range(100):
        delay.add(3.0)
    assert 3.5 < delay.timeout_s() < 10.0
    for _ in range(100):
        delay.add(0.01)
    assert delay.timeout_s() == 1.0


def test_one_long_delay_waits_no_longer_than_half_a_minute() -> None:
    delay = RetryDelay()
    delay.add(3600.0)
    assert delay.timeout_s() == 30.0
