"""Rules between a box file's products and its other sections."""

from __future__ import annotations

from collections.abc import Mapping

from edgeflow.config.capture import TriggerConfig
from edgeflow.config.products.section import ProductConfig
from edgeflow.config.scoring import RuntimeConfig, TrustConfig
from edgeflow.config.updates.shadow import ShadowConfig

__all__ = ["product_problems", "shadow_problem"]


def product_problems(
    products: Mapping[str, ProductConfig] | None,
    product: str | None,
    trigger: TriggerConfig,
    trust: TrustConfig | None,
    runtime: RuntimeConfig,
) -> str:
    """Return the first contradiction; empty where there is none."""
    if products is None:
        given = {
            "product": product,
            "trigger.product": trigger.product,
            "runtime.memory_mb": runtime.memory_mb,
        }
        return next((f"{key} goes with products" for key, value in given.items() if value is not None), "")
    if product is not None and product not in products:
        return f"product: '{product}' is none of the products: {', '.join(products)}"
    if product is not None and trigger.product is not None:
        return (
            "product and trigger.product exclude each other: either every trigger names its product, or the "
            "box file and the command 'product' do"
        )
    set_up = [name for name, section in products.items() if section.cameras]
    if set_up and trigger.product is not None:
        return (
            f"products.{set_up[0]}.cameras goes with the command 'product': where triggers name the product, "
            "there is no time to open cameras anew between two parts"
        )
    if trust is not None and trust.product is not None:
        return "trust.product goes with bundle; with products, give products.NAME.name"
    return ""


def shadow_problem(shadow: ShadowConfig | None, products: Mapping[str, ProductConfig] | None) -> str:
    """Return the contradiction between a candidate and the products; empty where there is none."""
    if shadow is None:
        return ""
    if products is None:
        return "shadow.product goes with products" if shadow.product is not None else ""
    if shadow.product is None:
        return f"shadow.product: missing; name the product that the candidate is for: {', '.join(products)}"
    if shadow.product not in products:
        return f"shadow.product: '{shadow.product}' is none of the products: {', '.join(products)}"
    return ""
