"""Parts without a bundle: their product is unknown, or its bundle does not run here."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgeflow.capture.view_set import ViewSet
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.thresholds import Scale, Thresholds
from edgeflow.decision.decision import Policy
from edgeflow.decision.result import Origin, ResultMaker
from edgeflow.decision.session import Session

__all__ = ["NoBundle", "make_no_bundle", "without_bundle"]

_NO_THRESHOLDS = Thresholds(
    part=Scale(centre=0.0, threshold=1.0), views={}, false_reject_rate=0.0, normal_parts=1
)


@dataclass(frozen=True, kw_only=True)
class NoBundle:
    """Decides parts that no bundle may judge: they are UNDECIDED, never scored."""

    policy: Policy
    make: ResultMaker


def make_no_bundle(config: BoxConfig, session: Session) -> NoBundle:
    """Return what decides parts without a bundle, by the limits that the box file gives for all."""
    place = config.station
    policy = Policy(thresholds=_NO_THRESHOLDS, sync=config.sync, decision=config.decision)
    origin = Origin(site=place.site, line=place.line, station=place.station, box=config.device_name)
    make = ResultMaker(session=session, bundle=None, graph=None, policy=policy, origin=origin)
    return NoBundle(policy=policy, make=make)


def without_bundle(view_set: ViewSet, problem: str) -> ViewSet:
    """Return a part with the fault that no bundle may judge it.

    Its missing views are not told: which views the part has depends on its product, and the policy for them
    must not turn an unknown product into NG.
    """
    return replace(
        view_set,
        missing=(),
        fault="; ".join(filter(None, [view_set.fault, problem])),
        fault_code=view_set.fault_code or "unknown_product",
    )
