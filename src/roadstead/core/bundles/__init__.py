"""Bundles: spaces and their devices taken out, to be made again elsewhere."""

from roadstead.core.bundles.imports import find_import, list_imports, lock_import, note_import, settle_import
from roadstead.core.bundles.model import (
    Bundle,
    BundledDevice,
    Conflicts,
    Import,
    ImportStatus,
    Kind,
    Planted,
    Problem,
    Unfit,
    Words,
)
from roadstead.core.bundles.service import MOST_AT_ONCE, check_fits, gather, plant, plant_anew

__all__ = [
    "MOST_AT_ONCE",
    "Bundle",
    "BundledDevice",
    "Conflicts",
    "Import",
    "ImportStatus",
    "Kind",
    "Planted",
    "Problem",
    "Unfit",
    "Words",
    "check_fits",
    "find_import",
    "gather",
    "list_imports",
    "lock_import",
    "note_import",
    "plant",
    "plant_anew",
    "settle_import",
]
