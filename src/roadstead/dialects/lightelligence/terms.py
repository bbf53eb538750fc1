"""What an operator may choose about this dialect."""

import msgspec


class Terms(msgspec.Struct, frozen=True):
    """Where its identity provider is, and what its own client may do."""

    identity_url: str = ""
    """What stands before the path of the realm in the name of the issuer; empty: the platform's URL with our prefix."""
    portal_redirect_uris: tuple[str, ...] = ()
    """Where people who sign in with the built-in client may be sent back to."""
