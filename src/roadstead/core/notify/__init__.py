"""Notifications: channels, what is announced on them, and what became of each delivery.

A room above that keeps ids of channels checks them when they are set (`check_channels`) and shows those that are still
there; one that is gone is passed over by `announce`.
"""

from roadstead.core.notify.announcements import announce, check_channels, list_deliveries
from roadstead.core.notify.channels import (
    begin_test,
    change_channel,
    create_channel,
    delete_channel,
    get_channel,
    list_channel_deliveries,
    list_channels,
    load_delivery,
    replace_channel,
    resend_delivery,
)
from roadstead.core.notify.claiming import LEASE, claim_parcel, list_waiting, settle_parcel
from roadstead.core.notify.config import check_recipients
from roadstead.core.notify.delivery_store import WAKE_UP
from roadstead.core.notify.message_template_model import Medium, MessageTemplate, MessageTemplateDraft
from roadstead.core.notify.message_templates import (
    create_message_template,
    delete_message_template,
    get_message_template,
    list_message_templates,
    replace_message_template,
)
from roadstead.core.notify.model import (
    LONGEST_DIGEST_MINUTES,
    RETRY_AFTER,
    Announcement,
    Channel,
    ChannelChange,
    ChannelDraft,
    ChannelType,
    Delivery,
    DeliveryStatus,
    Item,
    Kind,
    NewSecret,
    Outcome,
    Parcel,
    Waiting,
)
from roadstead.core.notify.quiet import QuietHours
from roadstead.core.notify.sending import send
from roadstead.core.notify.sending_store import MOST_AT_A_TIME

__all__ = [
    "LEASE",
    "LONGEST_DIGEST_MINUTES",
    "MOST_AT_A_TIME",
    "RETRY_AFTER",
    "WAKE_UP",
    "Announcement",
    "Channel",
    "ChannelChange",
    "ChannelDraft",
    "ChannelType",
    "Delivery",
    "DeliveryStatus",
    "Item",
    "Kind",
    "Medium",
    "MessageTemplate",
    "MessageTemplateDraft",
    "NewSecret",
    "Outcome",
    "Parcel",
    "QuietHours",
    "Waiting",
    "announce",
    "begin_test",
    "change_channel",
    "check_channels",
    "check_recipients",
    "claim_parcel",
    "create_channel",
    "create_message_template",
    "delete_channel",
    "delete_message_template",
    "get_channel",
    "get_message_template",
    "list_channel_deliveries",
    "list_channels",
    "list_deliveries",
    "list_message_templates",
    "list_waiting",
    "load_delivery",
    "replace_channel",
    "replace_message_template",
    "resend_delivery",
    "send",
    "settle_parcel",
]
