"""PostgreSQL: pools by duty, transactions that know their tenant, migrations."""

from roadstead.db.listing import Condition, Listing, SortKey, parse_sort
from roadstead.db.migrate import migrate
from roadstead.db.pool import Database, Duty
from roadstead.db.text import holds_nul, storable
from roadstead.db.tx import AuditLine, Tx

__all__ = [
    "AuditLine",
    "Condition",
    "Database",
    "Duty",
    "Listing",
    "SortKey",
    "Tx",
    "holds_nul",
    "migrate",
    "parse_sort",
    "storable",
]
