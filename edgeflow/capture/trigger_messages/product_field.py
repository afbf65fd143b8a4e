"""Field of a trigger message that names the part's product."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from edgeflow.capture.part_product import PartProduct
from edgeflow.config.products import product_text, shown_name

__all__ = ["ProductField"]


@dataclass(frozen=True, kw_only=True)
class ProductField:
    """Field of a trigger message that names the part's product; pure.

    Attributes:
        field: at the top of the message, else in its ``context``.
        products: names that there are.
    """

    field: str
    products: Collection[str]

    def read(self, data: Mapping[str, Any] | None) -> PartProduct:
        """Return the product that a message names; never raises, and never takes one name for another.

        Args:
            data: the message as plain data; None where it cannot be read.
        """
        value = self._value(data or {})
        if value is None or value == "":
            return PartProduct(name=None, problem=f"unknown product: the trigger has no '{self.field}'")
        name = product_text(value)
        if name in self.products:
            return PartProduct(name=name)
        if name is None:
            return PartProduct(
                name=None, problem=f"unknown product: '{self.field}' is neither text nor a number"
            )
        return PartProduct(
            name=None, problem=f"unknown product '{shown_name(name)}': not in the box file's products"
        )

    def _value(self, data: Mapping[str, Any]) -> Any:
        if self.field in data:
            return data[self.field]
        context = data.get("context")
        return context.get(self.field) if isinstance(context, Mapping) else None
