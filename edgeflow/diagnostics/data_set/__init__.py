"""``edgeflow data inspect``: a folder of recorded parts before anything is trained on it.

In: a folder, in any known layout. Out: its layout, counts, sizes, depths and masks, findings about what is
odd, and the section ``data`` of a recipe for it. Images are opened one by one. Read ``inspection.py`` first.
"""

from edgeflow.diagnostics.data_set.inspection import DataInspection, InspectionChoices, inspect_data

__all__ = ["DataInspection", "InspectionChoices", "inspect_data"]
