"""Where Debian keeps the Python packages that it brings itself."""

from __future__ import annotations

DEBIAN_PACKAGES = "/usr/lib/python3/dist-packages"
