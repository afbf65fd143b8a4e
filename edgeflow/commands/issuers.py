"""Issuers that may command a box over MQTT, with secrets and keys read from their files."""

from __future__ import annotations

from edgeflow.commands.rules import Issuer, Rules
from edgeflow.config.box import BoxConfig
from edgeflow.errors import ConfigError, UsageError
from edgeflow.security.shared_secrets import read_issuer_key

__all__ = ["read_rules"]


def read_rules(config: BoxConfig, session: str) -> Rules:
    """Return the rules for commands over MQTT; secrets and keys are read now.

    Raises:
        ConfigError: names every secret or key file that cannot be used.
    """
    commands = config.commands
    issuers: dict[str, Issuer] | None = None
    problems: list[str] = []
    if commands.issuers is not None:
        issuers = {}
        for name, issuer in commands.issuers.items():
            try:
                allow = commands.allow if issuer.allow is None else issuer.allow
                issuers[name] = Issuer(key=read_issuer_key(issuer), allow=allow)
            except (OSError, UsageError) as cause:
                why = cause.strerror if isinstance(cause, OSError) else str(cause)
                problems.append(f"commands.issuers.{name}: {why}")
    if problems:
        raise ConfigError("the keys of who may command cannot be used", problems=problems)
    return Rules(
        box=config.topic_root,
        session=session,
        allow=commands.allow,
        issuers=issuers,
        max_age_s=commands.max_age_s,
    )
