"""Mail about events: which events of which devices lead to which mail, and what has led to some.

Where it goes, and whether at all, says the notification channel of the mailing: who changes one changes both.
"""

from roadstead.core.mailings.following import follow_events
from roadstead.core.mailings.model import Hit, Mailing, MailingDraft
from roadstead.core.mailings.service import (
    create_mailing,
    delete_mailing,
    get_mailing,
    hold_mailing,
    list_hits,
    list_mailings,
    replace_mailing,
)

__all__ = [
    "Hit",
    "Mailing",
    "MailingDraft",
    "create_mailing",
    "delete_mailing",
    "follow_events",
    "get_mailing",
    "hold_mailing",
    "list_hits",
    "list_mailings",
    "replace_mailing",
]
