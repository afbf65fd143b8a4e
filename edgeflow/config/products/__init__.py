"""Section ``products`` of a box file: the products of one line, each with its own bundle and limits.

In: YAML. Out: frozen models, and for each product the box file of a box with it alone. Threads: none.
Read ``section.py`` first; ``names.py`` says which names are one.
"""

from edgeflow.config.products.names import normal_name, product_text, shown_name
from edgeflow.config.products.section import ProductConfig, ProductName

__all__ = ["ProductConfig", "ProductName", "normal_name", "product_text", "shown_name"]
