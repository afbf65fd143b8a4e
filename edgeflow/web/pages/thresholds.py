"""Page *Thresholds*: what labels would change is calculated, looked at, and written when somebody accepts."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from edgeflow.calibration.detection_rates import needed_parts
from edgeflow.commands.audit_log import local_source
from edgeflow.config.box import BoxConfig
from edgeflow.config.products.resolve import product_named
from edgeflow.errors import DataError, UsageError
from edgeflow.recalibration.proposal import Proposal, read_proposal
from edgeflow.recalibration.runner import BusyError, JobState, RecalibrationRunner
from edgeflow.web.language import language_of, translations
from edgeflow.web.requests import form_of
from edgeflow.web.templating import Templates

__all__ = ["ThresholdsPage"]

_MOST_SHOWN = 40
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.bundle")


def _(text: str) -> str:
    """Mark a text for translation."""
    return text


_BUSY = _("A calculation runs already. Wait for its end, or cancel it.")
_NO_RATE = _("The share of good parts that may be rejected is a number of percent over 0 and below 100.")
_NO_NAME = _("The name of the file is made of letters, digits, . _ and -, and ends in .bundle.")
_TAKEN = _("There is a file of this name already, and a bundle is never replaced. Give another name.")
_NO_PRODUCT = _("This box has no such product. Choose one of those that it has.")
_OLD = _("This is not the latest calculation. Load the page again, and look at what it shows.")
_UNCONFIRMED = _("A threshold would move far. Look at the reasons, and confirm that this is wanted.")


@dataclass(frozen=True, kw_only=True)
class ThresholdsPage:
    """Page *Thresholds*, for engineers."""

    config: BoxConfig
    templates: Templates
    runner: RecalibrationRunner = field(default_factory=RecalibrationRunner)

    async def page(self, request: Request) -> Response:
        """Return the page with the latest calculation."""
        state = await asyncio.to_thread(self._state, request)
        return self.templates.page(request, "thresholds.html", state=state)

    async def state(self, request: Request) -> Response:
        """Return what changes of the page."""
        return HTMLResponse(await asyncio.to_thread(self._state, request))

    async def calculate(self, request: Request) -> Response:
        """Begin to calculate what the labels would change."""
        form = await form_of(request)
        rate, is_valid = _rate(form.get("rate", "").strip())
        if not is_valid:
            return self._refuse(request, _NO_RATE)
        return await self._started(request, form.get("product"), {"kind": "propose", "rate": rate})

    async def cancel(self, request: Request) -> Response:
        """End the calculation."""
        await asyncio.to_thread(self.runner.cancel)
        return await self.state(request)

    async def accept(self, request: Request) -> Response:
        """Write the next version of the bundle, as it was shown."""
        form = await form_of(request)
        try:
            proposal = await asyncio.to_thread(read_proposal, self.config.proposal_path)
        except DataError as cause:
            return PlainTextResponse(cause.message, 400)
        if proposal is None or proposal.proposal_id != form.get("proposal") or proposal.written is not None:
            return self._refuse(request, _OLD)
        bundle = self._bundle(proposal.product)
        if bundle is None:
            return self._refuse(request, _NO_PRODUCT)
        output = bundle.parent / form.get("name", "").strip()
        problem = _problem(output, form, proposal)
        if problem:
            return self._refuse(request, problem)
        job = {
            "kind": "write",
            "rate": proposal.preview["thresholds"]["false_reject_rate"],
            "proposal_id": proposal.proposal_id,
            "output": str(output),
            "accept": form.get("accept") == "yes",
        }
        return await self._started(request, proposal.product, job)

    def _bundle(self, product: str | None) -> Path | None:
        """Return the bundle of a product, or the only one; None where there is no such product."""
        try:
            return product_named(self.config, product).bundle
        except UsageError:
            return None

    async def _started(self, request: Request, product: str | None, job: Mapping[str, Any]) -> Response:
        config, user = self.config, request.state.session.user
        bundle = self._bundle(product)
        if bundle is None:
            return self._refuse(request, _NO_PRODUCT)
        everything = {
            "bundle": str(bundle),
            "product": product,
            "history": str(config.history_path),
            "evidence": None if config.evidence is None else str(config.evidence.dir),
            "proposal": str(config.proposal_path),
            "audit": str(config.audit_path),
            "audit_bytes": round(config.commands.audit_max_mb * 1e6),
            "by": user,
            "source": local_source(user),
            **job,
        }
        try:
            self.runner.start(everything)
        except BusyError:
            return self._refuse(request, _BUSY, 409)
        return await self.state(request)

    def _refuse(self, request: Request, text: str, status: int = 400) -> Response:
        return PlainTextResponse(translations(language_of(request)).gettext(text), status)

    def _state(self, request: Request) -> str:
        now, problem, proposal = self.runner.now, "", None
        try:
            if now.kind is None:
                proposal = read_proposal(self.config.proposal_path)
        except DataError as cause:
            problem = "; ".join([cause.message, *cause.problems[:3]])
        trust = self.config.trust
        return self.templates.render(
            language_of(request),
            "thresholds/state.html",
            job=now,
            proposal=proposal,
            problem=problem,
            shown=_shown(proposal),
            needed=proposal and needed_parts(proposal.preview["thresholds"]["false_reject_rate"]),
            needs_signature=trust is not None and trust.keys is not None,
            bundle=self.config.bundle.name,
            products=tuple(self.config.products or ()),
            percent=_percent(now),
        )


def _problem(output: Path, form: Mapping[str, str], proposal: Proposal) -> str:
    """Return why a proposal is not written so; empty where it is."""
    if not _NAME.fullmatch(form.get("name", "").strip()):
        return _NO_NAME
    if output.exists() or output.is_symlink():
        return _TAKEN
    return _UNCONFIRMED if proposal.far and form.get("accept") != "yes" else ""


def _rate(text: str) -> tuple[float | None, bool]:
    """Return the share of a number of percent, None for the bundle's own, and whether it can be used."""
    if not text:
        return None, True
    try:
        rate = float(text.replace(",", ".")) / 100
    except ValueError:
        return None, False
    return rate, math.isfinite(rate) and 0 < rate < 1


def _percent(now: JobState) -> int | None:
    done, of = now.step.get("done"), now.step.get("of")
    return round(100 * done / of) if isinstance(done, int) and isinstance(of, int) and of else None


def _shown(proposal: Proposal | None) -> list[Mapping[str, Any]]:
    """Return the parts to show of those that would turn, defects that would pass first."""
    if proposal is None:
        return []
    turned: list[Mapping[str, Any]] = proposal.preview["turned"]
    chosen = sorted(turned, key=lambda one: not (one["label"] == "NG" and one["would_be"] == "OK"))
    return [{**one, "pictures": _are_kept(one["pictures"])} for one in chosen[:_MOST_SHOWN]]


def _are_kept(folder: str | None) -> bool:
    return folder is not None and Path(folder).is_dir()
