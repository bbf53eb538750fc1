"""What a request takes it gives back."""

import gc

import httpx
import msgspec

from roadstead.dialects.native import create_app
from tests.conftest import Tenant


async def test_bad_parameters_cost_no_database_connections(acme: Tenant) -> None:
    gc.disable()  # Which would give back in the end what nobody else did.
    try:
        for _ in range(20):
            bad = await acme.api.get("/api/v1/devices", params={"limit": 9_999})
            mixed = await acme.api.get("/api/v1/devices", params={"limit": 5, "page": 1})
            assert (bad.status_code, mixed.status_code) == (422, 400)
        good = await acme.api.get("/api/v1/devices")
    finally:
        gc.enable()

    assert good.status_code == 200


async def test_a_bad_parameter_of_a_list_is_told_in_words_that_help(acme: Tenant) -> None:
    for query, words in {"status=LOST": "'LOST'", "limit=0": ">= 1", "page=x": "int"}.items():
        problem = (await acme.api.get(f"/api/v1/devices?{query}")).json()
        name = query.partition("=")[0]
        assert problem["detail"].startswith(f"{name}: ")
        assert words in problem["detail"]
        assert problem["errors"][0]["parameter"] == name


async def test_a_body_that_is_too_large_is_refused_with_the_reason(acme: Tenant) -> None:
    small = msgspec.structs.replace(acme.edge, max_body_bytes=1_000)
    transport = httpx.ASGITransport(create_app(small))  # type: ignore[arg-type]
    headers = {"Authorization": f"Bearer {acme.key}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test", headers=headers) as api:
        answer = await api.post("/api/v1/sites", json={"name": "x", "metadata": {"note": "y" * 2_000}})

    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
