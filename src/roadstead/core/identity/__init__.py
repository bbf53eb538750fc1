"""People, sessions and keys: who may knock, and as whom."""

from roadstead.core.identity.bootstrap import (
    FirstStart,
    create_member,
    create_owner,
    create_system_key,
    found_platform,
    set_password,
)
from roadstead.core.identity.entrance import authenticate, authenticate_client_token
from roadstead.core.identity.exchanges import exchange_key
from roadstead.core.identity.invitations import (
    accept_invitation,
    create_invitation,
    list_invitations,
    withdraw_invitation,
)
from roadstead.core.identity.keys import change_key, create_key, get_key, list_keys, revoke_key, rotate_key
from roadstead.core.identity.members import change_member, list_members, remove_member
from roadstead.core.identity.model import (
    ApiKey,
    Environment,
    Invitation,
    InvitationStatus,
    KeyChange,
    KeyDraft,
    KeyStatus,
    Member,
    NewKey,
    Person,
    PersonChange,
    SecondFactor,
    SignedIn,
)
from roadstead.core.identity.organizations import create_organization, list_own_organizations
from roadstead.core.identity.people import change_password, change_self, find_self, request_reset, reset_password
from roadstead.core.identity.permissions import Permission
from roadstead.core.identity.realm import Bearer, authenticate_bearer
from roadstead.core.identity.sessions import refresh_session, sign_in, sign_out, switch_organization
from roadstead.core.identity.signing import list_public_keys, rotate_signing_keys
from roadstead.core.identity.totp import begin_second_factor, confirm_second_factor, remove_second_factor

__all__ = [
    "ApiKey",
    "Bearer",
    "Environment",
    "FirstStart",
    "Invitation",
    "InvitationStatus",
    "KeyChange",
    "KeyDraft",
    "KeyStatus",
    "Member",
    "NewKey",
    "Permission",
    "Person",
    "PersonChange",
    "SecondFactor",
    "SignedIn",
    "accept_invitation",
    "authenticate",
    "authenticate_bearer",
    "authenticate_client_token",
    "begin_second_factor",
    "change_key",
    "change_member",
    "change_password",
    "change_self",
    "confirm_second_factor",
    "create_invitation",
    "create_key",
    "create_member",
    "create_organization",
    "create_owner",
    "create_system_key",
    "exchange_key",
    "find_self",
    "found_platform",
    "get_key",
    "list_invitations",
    "list_keys",
    "list_members",
    "list_own_organizations",
    "list_public_keys",
    "refresh_session",
    "remove_member",
    "remove_second_factor",
    "request_reset",
    "reset_password",
    "revoke_key",
    "rotate_key",
    "rotate_signing_keys",
    "set_password",
    "sign_in",
    "sign_out",
    "switch_organization",
    "withdraw_invitation",
]
