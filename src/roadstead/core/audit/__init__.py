"""Who did what to what, when and from where."""

from roadstead.core.audit.model import AuditEntry, AuditFilter
from roadstead.core.audit.service import list_entries

__all__ = ["AuditEntry", "AuditFilter", "list_entries"]
