"""One product of a box file as a box file of its own."""

from __future__ import annotations

from collections.abc import Collection

from edgeflow.config.box import BoxConfig
from edgeflow.errors import UsageError

__all__ = ["only_product", "product_config", "product_named"]


def product_config(config: BoxConfig, name: str, views: Collection[str] | None = None) -> BoxConfig:
    """Return the box file as a box with this product alone would have it: its bundle and its limits.

    Args:
        views: of its bundle; cameras of other products are left out. None: all stay.
    """
    if config.products is None:
        return config
    product = config.products[name]
    decision = {key: getattr(product, key) for key in ("deadline_ms", "valid_ms", "on_late")}
    sync = config.sync
    if product.on_missing is not None:
        sync = sync.model_copy(update={"on_missing": product.on_missing, "min_views": product.min_views})
    trust = config.trust
    if trust is not None and product.name is not None:
        trust = trust.model_copy(update={"product": product.name})
    cameras = {**config.cameras, **product.cameras}
    if views is not None:
        cameras = {view: camera for view, camera in cameras.items() if view in views}
    return config.model_copy(
        update={
            "bundle": product.bundle,
            "products": {name: product},
            "product": name,
            "decision": config.decision.model_copy(
                update={key: value for key, value in decision.items() if value is not None}
            ),
            "sync": sync,
            "trust": trust,
            "cameras": cameras,
        }
    )


def only_product(config: BoxConfig) -> str | None:
    """Return the product of a box file that is one product's; None where the box has one bundle."""
    return config.product if config.products is not None else None


def product_named(config: BoxConfig, name: str | None) -> BoxConfig:
    """Return the box file of the product that a person names, or of the only bundle.

    Raises:
        UsageError: no such product, or none is named although there are several.
    """
    products = config.products or {}
    if name is None and len(products) <= 1:
        return product_config(config, next(iter(products))) if products else config
    if name is None:
        raise UsageError(f"this box has several products; name one of: {', '.join(products)}")
    if name not in products:
        known = ", ".join(products) or "none; its box file has one bundle"
        raise UsageError(f"no product '{name}' in this box file; there are: {known}")
    return product_config(config, name)
