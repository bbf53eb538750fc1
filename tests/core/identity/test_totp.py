"""The second factor."""

from datetime import timedelta

import pyotp
import pytest

from roadstead.core import identity
from roadstead.core.identity import Person
from roadstead.kernel import time
from roadstead.kernel.errors import Conflict, Invalid, TooMany, Unauthenticated
from tests.conftest import Tenant
from tests.people import PASSWORD, account, actor_of, add_person, entry


async def turn_on(tenant: Tenant, person: Person) -> tuple[pyotp.TOTP, list[str]]:
    """The app and the recovery codes of somebody with a second factor; the code of this moment was used."""
    actor = await actor_of(tenant, person)
    async with account(tenant.edge, actor) as own:
        app = pyotp.TOTP((await identity.begin_second_factor(own, password=PASSWORD)).secret)
        return app, await identity.confirm_second_factor(own, app.at(time.now()))


async def sign_in_with(tenant: Tenant, person: Person, otp: str | None) -> None:
    async with entry(tenant.edge) as door:
        await identity.sign_in(door, email=person.email, password=PASSWORD, otp=otp)


async def let_step_pass(tenant: Tenant) -> None:
    """The last code that was used lies further back."""
    async with tenant.edge.system_database.tx() as tx:
        await tx.run("UPDATE person SET totp_last_step = totp_last_step - 3")


async def test_a_code_is_asked_for_once_it_was_confirmed_and_is_good_once(acme: Tenant) -> None:
    person = await add_person(acme)
    app, _ = await turn_on(acme, person)

    with pytest.raises(Unauthenticated) as refusal:
        await sign_in_with(acme, person, None)
    assert refusal.value.code == "otp-required"
    with pytest.raises(Unauthenticated):
        await sign_in_with(acme, person, app.at(time.now()))

    await let_step_pass(acme)
    code = app.at(time.now())
    await sign_in_with(acme, person, code)
    with pytest.raises(Unauthenticated, match="wrong or was used"):
        await sign_in_with(acme, person, code)


async def test_a_code_of_another_time_is_refused(acme: Tenant) -> None:
    person = await add_person(acme)
    app, _ = await turn_on(acme, person)
    await let_step_pass(acme)
    for wrong in (app.at(time.now() - timedelta(minutes=2)), app.at(time.now() + timedelta(minutes=2))):
        with pytest.raises(Unauthenticated):
            await sign_in_with(acme, person, wrong)


async def test_an_open_session_is_not_enough_to_turn_it_on(acme: Tenant) -> None:
    actor = await actor_of(acme, await add_person(acme))
    with pytest.raises(Unauthenticated, match="password"):
        async with account(acme.edge, actor) as own:
            await identity.begin_second_factor(own, password="wrong password")


async def test_an_unconfirmed_factor_is_not_asked_for(acme: Tenant) -> None:
    person = await add_person(acme)
    async with account(acme.edge, await actor_of(acme, person)) as own:
        await identity.begin_second_factor(own, password=PASSWORD)
        with pytest.raises(Invalid, match="not the code"):
            await identity.confirm_second_factor(own, "000000x")
    await sign_in_with(acme, person, None)


async def test_a_recovery_code_stands_in_once(acme: Tenant) -> None:
    person = await add_person(acme)
    _, codes = await turn_on(acme, person)
    assert len(set(codes)) == 10

    await sign_in_with(acme, person, codes[0].upper())
    with pytest.raises(Unauthenticated):
        await sign_in_with(acme, person, codes[0])
    await sign_in_with(acme, person, codes[1].replace("-", ""))


async def test_guessing_codes_is_slowed_down_from_wherever_it_is_done(acme: Tenant) -> None:
    person = await add_person(acme)
    _, codes = await turn_on(acme, person)
    for number in range(10):
        async with entry(acme.edge, f"192.0.2.{number}") as door:
            with pytest.raises(Unauthenticated):
                await identity.sign_in(door, email=person.email, password=PASSWORD, otp="123")
    with pytest.raises(TooMany):
        await sign_in_with(acme, person, codes[0])


async def test_removing_it_takes_password_and_code(acme: Tenant) -> None:
    person = await add_person(acme)
    actor = await actor_of(acme, person)
    _, codes = await turn_on(acme, person)
    for password, code in (("wrong password", codes[0]), (PASSWORD, "123")):
        with pytest.raises(Unauthenticated):
            async with account(acme.edge, actor) as own:
                await identity.remove_second_factor(own, password=password, code=code)
    with pytest.raises(Conflict):
        async with account(acme.edge, actor) as own:
            await identity.begin_second_factor(own, password=PASSWORD)

    async with account(acme.edge, actor) as own:
        await identity.remove_second_factor(own, password=PASSWORD, code=codes[0])
    await sign_in_with(acme, person, None)


async def test_the_secret_lies_sealed(acme: Tenant) -> None:
    person = await add_person(acme)
    app, _ = await turn_on(acme, person)
    async with acme.edge.system_database.tx() as tx:
        sealed = await tx.value("SELECT totp_secret FROM person WHERE id = %s", person.id)
    assert app.secret.encode() not in sealed
