"""Signing in with an OpenID provider: code flow with PKCE (RFC 6749, RFC 7636, OpenID Connect Core)."""

import base64
import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import quote_plus, urlencode, urlsplit, urlunsplit
from uuid import UUID

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from roadstead.core.identity import tokens
from roadstead.core.identity.account_model import AccountDraft, MemberAccount
from roadstead.core.identity.accounts import make_account
from roadstead.core.identity.id_tokens import NewIdToken, issue_id_token
from roadstead.core.identity.oidc_model import WELL_KNOWN, Journey, OidcClient, ProvenPerson, Provider, place_of
from roadstead.core.identity.store import accounts, people
from roadstead.core.identity.store import oidc as store
from roadstead.core.operation import unguarded
from roadstead.core.ports import Ports, Post
from roadstead.core.work import Entry
from roadstead.kernel import time
from roadstead.kernel.actor import system_actor
from roadstead.kernel.errors import Invalid, NotFound, Unauthenticated, Unavailable
from roadstead.kernel.ids import TenantId, UserId, parse_base62

T = TypeVar("T")

_LASTS = timedelta(minutes=10)
_LEEWAY_S = 60
_MOST_BYTES = 262_144
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Those whose key is public: with the others the provider would have to share a secret of its own."""


class Beginning(msgspec.Struct, frozen=True):
    """Somebody wants to sign in with a provider."""

    tenant_id: TenantId
    client: OidcClient


@unguarded("the providers of a project are open to those who want to sign in")
async def find_provider(entry: Entry, project_id: UUID, name: str, *, success_url: str, failure_url: str) -> Beginning:
    """The one with this id or alias. Raises `NotFound`, and `Invalid` for URLs that are not registered with it."""
    found = await store.select_client_of(entry.tx, project_id, parse_base62(name), name)
    if found is None:
        raise NotFound("OpenID client", name)
    tenant_id, client = found
    client.check_place(success_url, field="successUrl")
    client.check_place(failure_url, field="failureUrl")
    return Beginning(tenant_id, client)


@unguarded("it asks a provider what anybody may ask it")
async def discover(ports: Ports, client: OidcClient) -> Provider:
    """What the provider says about itself. Raises `Unavailable` when it says nothing that can be used."""
    provider = await _get(ports, client.issuer + WELL_KNOWN, Provider)
    if provider.issuer.rstrip("/") != client.issuer or place_of(provider.authorization_endpoint) is None:
        raise Unavailable(f"the provider calls itself '{provider.issuer}', not '{client.issuer}'")
    return provider


@unguarded("whoever wants to sign in may be sent to the provider")
async def begin_oidc(
    entry: Entry, beginning: Beginning, provider: Provider, *, callback: str, success_url: str, failure_url: str
) -> str:
    """The URL that a browser is sent to; it has ten minutes."""
    state, verifier, nonce = tokens.new_secret(), tokens.new_secret(), tokens.new_secret()
    await store.insert_journey(
        entry.tx,
        beginning.tenant_id,
        beginning.client.id,
        state_hash=tokens.digest(state),
        verifier=entry.ports.vault.seal(verifier.encode(), "oidc-verifier"),
        nonce=nonce,
        success_url=success_url,
        failure_url=failure_url,
        expires_at=time.now() + _LASTS,
    )
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": beginning.client.client_id,
        "redirect_uri": callback,
        "scope": "openid email profile",
        "state": state,
        "nonce": nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    return with_query(provider.authorization_endpoint, asked)


@unguarded("the state is what is asked for")
async def take_journey(entry: Entry, state: str) -> Journey:
    """The browser that comes back with a state, once. Raises `Invalid` for a state that was used, or is not ours."""
    journey = await store.take_journey(entry.tx, tokens.digest(state))
    if journey is None or journey.expires_at <= time.now():
        raise Invalid.field("state", "was used or has run out: begin again", place="query")
    return journey


@unguarded("the code is what is asked for")
async def prove_by_code(ports: Ports, journey: Journey, code: str, *, callback: str) -> ProvenPerson:
    """Who has signed in there. Raises `Unauthenticated` when the provider does not say so, `Unavailable` without an
    answer; talks to the provider, so no transaction is held meanwhile."""
    provider = await discover(ports, journey.client)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": callback,
        "client_id": journey.client.client_id,
        "code_verifier": ports.vault.open(journey.verifier, "oidc-verifier").decode(),
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    secret = ports.vault.open(journey.client_secret, "oidc-client").decode()
    if "client_secret_basic" in provider.token_endpoint_auth_methods_supported:
        pair = f"{quote_plus(journey.client.client_id)}:{quote_plus(secret)}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    else:
        form["client_secret"] = secret
    post = Post(provider.token_endpoint, headers, urlencode(form).encode(), most_bytes=_MOST_BYTES)
    reply = await ports.outgoing.post(post)
    if reply.status != 200:
        raise Unauthenticated(f"the provider does not take the code: {reply.beginning}")
    answer = _read(reply.body, dict[str, Any])
    keys = await _get(ports, provider.jwks_uri, dict[str, Any])
    return _check_id_token(str(answer.get("id_token")), keys, provider, journey)


@unguarded("the provider has said who it is")
async def enter_by_oidc(entry: Entry, journey: Journey, proven: ProvenPerson) -> NewIdToken:
    """A token for the project, for who somebody is there: a new account the first time.

    Nobody becomes one of the people who were there before but those whom the project has made, with this address, and
    of whom the provider is sure that it is theirs.
    """
    work = entry.as_actor(system_actor(journey.tenant_id, journey.organization_id, name=journey.client.name))
    await store.lock_subject(entry.tx, journey.tenant_id, proven.sub)
    person_id = await store.select_person_of_subject(entry.tx, journey.tenant_id, journey.client.id, proven.sub)
    if person_id is None:
        account = await _find_account(entry, journey, proven)
        if account is None:
            account = await make_account(work, await _draft(entry, journey, proven))
        person_id = account.person_id
        await store.insert_subject(entry.tx, journey.tenant_id, journey.client.id, proven.sub, person_id)
    return await _enter(entry, journey, person_id)


def with_query(url: str, added: Mapping[str, str]) -> str:
    """A URL with more in its query."""
    parts = urlsplit(url)
    query = "&".join(part for part in (parts.query, urlencode(added)) if part)
    return urlunsplit(parts._replace(query=query))


async def _enter(entry: Entry, journey: Journey, person_id: UserId) -> NewIdToken:
    person = await people.select_person(entry.tx, person_id)
    memberships = await people.select_memberships(entry.tx, person_id)
    membership = next((each for each in memberships if each.tenant_id == journey.tenant_id), None)
    if person is None or membership is None:
        raise Unauthenticated("this account is gone")
    return await issue_id_token(entry, person, membership)


async def _find_account(entry: Entry, journey: Journey, proven: ProvenPerson) -> MemberAccount | None:
    if proven.email is None or proven.email_verified is not True:
        return None
    account = await accounts.select_account_named(entry.tx, journey.tenant_id, proven.email)
    if account is None or not account.managed or await accounts.count_memberships(entry.tx, account.person_id) != 1:
        return None
    return account


async def _draft(entry: Entry, journey: Journey, proven: ProvenPerson) -> AccountDraft:
    username = _usable(f"{proven.sub}@{journey.client.alias or journey.client.id}")
    for name in map(_usable, proven.names):
        if await accounts.select_account_named(entry.tx, journey.tenant_id, name) is None:
            username = name
            break
    return AccountDraft(username=username, password=None, name=proven.name or username, email=proven.email)


def _usable(name: str) -> str:
    """As a user name."""
    return "".join(letter if letter.isprintable() and letter not in " /" else "-" for letter in name)


def _check_id_token(text: str, keys: dict[str, Any], provider: Provider, journey: Journey) -> ProvenPerson:
    try:
        token = jwt.decode(text, KeySet.import_key_set(keys), algorithms=_ALGORITHMS)  # type: ignore[arg-type]
        jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": provider.issuer},
            aud={"essential": True, "value": journey.client.client_id},
            exp={"essential": True},
            nonce={"essential": True, "value": journey.nonce},
        ).validate(token.claims)
        return msgspec.convert(token.claims, ProvenPerson)
    except (JoseError, ValueError, msgspec.ValidationError) as error:
        raise Unauthenticated(f"the id token of the provider is not good: {error}") from error


async def _get(ports: Ports, url: str, kind: type[T]) -> T:
    reply = await ports.outgoing.post(Post(url, {"Accept": "application/json"}, b"", "GET", _MOST_BYTES))
    if reply.status != 200:
        raise Unavailable(f"the provider answers {reply.status}")
    return _read(reply.body, kind)


def _read(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise Unavailable(f"the provider says nothing that can be read: {error}") from error
