"""A short-lived token for a long-lived key, so that the key itself travels seldom."""

import secrets
from datetime import timedelta

from roadstead.core.identity import tokens
from roadstead.core.identity.entrance import authenticate_key
from roadstead.core.identity.store import keys as store
from roadstead.core.operation import unguarded
from roadstead.core.work import Entry
from roadstead.kernel import time

CLIENT_TOKEN_LIFE = timedelta(hours=24)


@unguarded("the API key is the secret that is asked for")
async def exchange_key(entry: Entry, secret: str) -> str:
    """A token that may read what the key may read, for 24 hours, as long as the key is good.

    Tokens that were given before stay good. Raises `Unauthenticated` for a key that is not good, `Forbidden` when
    nobody may work in its organization.
    """
    actor = await authenticate_key(entry, secret)
    token = secrets.token_hex(16) + tokens.new_secret()
    now = time.now()
    await store.insert_token(
        entry.tx, actor.tenant_id, actor.id, tokens.digest(token), created_at=now, expires_at=now + CLIENT_TOKEN_LIFE
    )
    return token
