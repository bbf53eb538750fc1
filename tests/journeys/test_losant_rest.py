"""The vendor's REST client for Python (`losant-rest`, from PyPI) drives the started platform, unmodified.

Every action that is served and that this client has is called: the last test counts them.
"""

import io
import json
import zipfile
from typing import Any

import httpx
import pyotp
import pytest

from roadstead.web.ledger import read_ledger
from tests.dialects.losant.contract import ACTIONS
from tests.journeys.losant import PASSWORD, Program, add_person, download, ids_of, refusal
from tests.platform import Platform, wait_until

NOBODY = "0" * 24
NEW_PASSWORD = "Another-horse-8-battery"
KINDS = [
    {"name": "level", "dataType": "number"},
    {"name": "open", "dataType": "boolean"},
    {"name": "mode", "dataType": "string", "attributeTags": {"unit": "word"}},
    {"name": "place", "dataType": "gps"},
]
SPARE = ["floating", "edgeCompute", "embedded"]
_answered: dict[str, int] = {}


@pytest.fixture(scope="module")
def email(platform: Platform) -> str:
    """Whose program it is."""
    return add_person(platform, "harbourmaster")


@pytest.fixture(scope="module")
def program(platform: Platform, email: str) -> Program:
    """The client, signed in as an owner."""
    return Program(platform, _answered).sign_in(email, PASSWORD)


@pytest.fixture(scope="module")
def harbour(program: Program) -> str:
    """An application that the stories share."""
    draft = {"name": "Harbour", "description": "on the river", "globals": [{"key": "limit", "json": "40"}]}
    made: dict[str, str] = program.vendor.applications.post(application=draft)
    return made["id"]


@pytest.fixture(scope="module")
def pump(program: Program, harbour: str) -> str:
    """A device of it."""
    draft = {"name": "pump", "attributes": KINDS, "tags": [{"key": "dock", "value": "east"}]}
    made: dict[str, str] = program.vendor.devices.post(applicationId=harbour, device=draft)
    return made["id"]


def test_people_and_devices_sign_in(platform: Platform, program: Program, email: str, harbour: str, pump: str) -> None:
    stranger, here = program.as_holder(None).vendor, {"applicationId": harbour}
    assert stranger.auth.sso_domain(email=email) == ""
    wrong = {"email": email, "password": "not the one"}
    assert refusal(stranger.auth.authenticate_user, credentials=wrong) == (401, "Unauthorized")
    assert refusal(stranger.application.get, **here) == (401, "Unauthorized")
    offer = {"accessToken": "x"}
    assert refusal(stranger.auth.authenticate_user_github, oauth=offer) == (501, "NotImplemented")
    saml = {"SAMLResponse": "xxxx", "SAMLDomain": "acme"}
    assert refusal(stranger.auth.authenticate_user_saml, saml=saml) == (501, "NotImplemented")

    narrow = program.sign_in(email, PASSWORD, requestedScopes=["device.get"], tokenTTL=60).vendor
    assert narrow.device.get(**here, deviceId=pump)["name"] == "pump"
    assert refusal(narrow.devices.get, **here) == (403, "Forbidden")
    assert program.as_holder(program.vendor.me.refresh_token()["token"]).vendor.application.get(**here)["id"] == harbour

    vendor = program.vendor
    key = vendor.application_keys.post(**here, applicationKey={"deviceIds": [pump], "name": "of the pump"})
    place = here | {"applicationKeyId": key["id"]}
    assert vendor.application_key.get(**place)["name"] == "of the pump"
    assert vendor.application_keys.get(**here, query={"name": "of the pump"})["totalCount"] == 1
    credentials = {"deviceId": pump, "key": key["key"], "secret": key["secret"]}
    told = stranger.auth.authenticate_device(credentials=credentials)
    device = program.as_holder(told["token"]).vendor
    assert device.device.get(**here, deviceId=pump)["id"] == told["deviceId"]
    assert refusal(device.devices.post, **here, device={"name": "another"}) == (403, "Forbidden")
    assert vendor.application_key.patch(**place, applicationKey={"status": "inactive"})["status"] == "inactive"
    assert refusal(stranger.auth.authenticate_device, credentials=credentials) == (401, "Unauthorized")
    assert vendor.application_key.delete(**place) == {"success": True}
    assert refusal(vendor.application_key.get, **place) == (404, "NotFound")


def test_programs_get_tokens_of_their_own(program: Program, harbour: str) -> None:
    vendor, here = program.vendor, {"applicationId": harbour}
    made = vendor.application_api_tokens.post(**here, apiToken={"name": "reader", "scope": ["all.Application.read"]})
    place = here | {"apiTokenId": made["id"]}
    reader = program.as_holder(made["token"]).vendor
    assert reader.application.get(**here)["name"] == "Harbour"
    assert refusal(reader.application.patch, **here, application={"name": "Mine"}) == (403, "Forbidden")
    assert vendor.application_api_token.patch(**place, apiToken={"description": "reads"})["description"] == "reads"
    assert vendor.application_api_token.get(**place)["name"] == "reader"
    assert made["id"] in ids_of(vendor.application_api_tokens.get(**here))
    assert vendor.application_api_token.delete(**place) == {"success": True}
    assert refusal(reader.application.get, **here) == (401, "Unauthorized")

    own = vendor.user_api_tokens.post(apiToken={"name": "nightly"})
    assert program.as_holder(own["token"]).vendor.application.get(**here)["id"] == harbour
    assert vendor.user_api_token.patch(apiTokenId=own["id"], apiToken={"name": "daily"})["name"] == "daily"
    assert vendor.user_api_token.get(apiTokenId=own["id"])["name"] == "daily"
    assert own["id"] in ids_of(vendor.user_api_tokens.get(filterField="name", filter="da*"))
    assert vendor.user_api_token.delete(apiTokenId=own["id"]) == {"success": True}
    assert refusal(vendor.user_api_token.get, apiTokenId=own["id"]) == (404, "NotFound")


def test_somebody_looks_after_their_account(
    platform: Platform, program: Program, stranger: httpx.Client, harbour: str, pump: str
) -> None:
    email = add_person(platform, "guest", "member")
    own = program.sign_in(email, PASSWORD)
    me = own.vendor.me
    assert me.patch(user={"firstName": "Mara", "companyName": "Harbour"})["firstName"] == "Mara"
    for item in ({"itemType": "application", "itemId": harbour}, {"itemType": "device", "itemId": pump}):
        me.add_recent_item(data=item)
    assert me.fetch_recent_items(itemType="device")["items"] == [{"id": pump, "name": "pump"}]
    assert me.get(includeRecent=True)["recentApplications"]["items"][0]["name"] == "Harbour"
    assert me.device_counts()["counts"]
    assert me.payload_counts() is not None
    assert me.payload_counts_breakdown()["counts"]
    assert me.notebook_minute_counts()["counts"]

    invited = stranger.post("/api/v1/organizations/current/invitations", json={"email": email, "role": "MEMBER"})
    assert invited.status_code == 201, invited.text
    [invite] = me.invites()
    assert me.invite(inviteId=invite["id"])["orgName"] == "Globex"
    assert me.respond_to_invite(inviteId=invite["id"], response={"action": "accept"})["result"] == "accepted"
    assert own.vendor.orgs.get()["totalCount"] == 2
    assert refusal(me.disconnect_github) == (501, "NotImplemented")
    transfer = {"destinationId": harbour, "destinationType": "organization"}
    assert refusal(me.transfer_resources, transfer=transfer) == (501, "NotImplemented")
    assert refusal(me.verify_email) == (501, "NotImplemented")

    key = me.generate_two_factor_auth()["key"]
    proof = {"password": PASSWORD, "twoFactorCode": pyotp.TOTP(key).now(), "twoFactorAuthKey": key}
    first, second, *_ = me.enable_two_factor_auth(data=proof)["recoveryCodes"]
    stranger_to_all, known = own.as_holder(None).vendor, {"email": email, "password": PASSWORD}
    assert refusal(stranger_to_all.auth.authenticate_user, credentials=known) == (401, "Unauthorized")
    assert own.sign_in(email, PASSWORD, twoFactorCode=first).vendor.me.get()["email"] == email
    assert not me.disable_two_factor_auth(data={"password": PASSWORD, "twoFactorCode": second})["twoFactorAuthEnabled"]

    change = {"password": PASSWORD, "newPassword": NEW_PASSWORD, "invalidateExistingTokens": True}
    fresh = own.as_holder(me.change_password(data=change)["token"]).vendor.me
    assert refusal(me.get) == (401, "Unauthorized")
    assert fresh.delete(credentials={"email": email, "password": NEW_PASSWORD}) == {"success": True}
    assert refusal(fresh.get) == (401, "Unauthorized")


def test_an_application_is_described_searched_and_counted(program: Program, harbour: str, pump: str) -> None:
    vendor, here = program.vendor, {"applicationId": harbour}
    assert vendor.application.patch(**here, application={"description": "at sea"})["description"] == "at sea"
    changed = vendor.application.globals(**here, globals=[{"key": "hosts", "json": '["a"]'}])
    assert {each["key"] for each in changed["globals"]} == {"limit", "hosts"}
    assert vendor.application.get(**here, summaryInclude="deviceCount")["summary"]["deviceCount"] >= 1
    vendor.application.readme_patch(**here, readme={"content": "# Harbour"})
    assert vendor.application.readme(**here)["content"] == "# Harbour"
    assert pump in {each["id"] for each in vendor.application.search(**here, filter="pum*")}
    assert harbour in ids_of(vendor.applications.get(filterField="name", filter="Har*"))
    [org] = vendor.orgs.get()["items"]
    assert vendor.org.get(orgId=org["id"])["name"] == org["name"]

    for count in ("device_counts", "payload_counts", "notebook_minute_counts"):
        assert getattr(vendor.application, count)(**here, start=-86_400_000, end=0) is not None
    assert vendor.application.payload_counts_breakdown(**here, resolution=86_400_000)
    assert harbour in json.dumps(vendor.applications.period_summaries(perPage=1000))
    assert refusal(vendor.application.get, applicationId=NOBODY) == (404, "NotFound")
    assert refusal(vendor.application.patch, **here, application={"colour": "red"}) == (400, "Validation")


def test_devices_of_all_classes_and_their_attributes(program: Program, harbour: str, pump: str) -> None:
    vendor, here = program.vendor, {"applicationId": harbour}

    def add(name: str, **fields: Any) -> str:
        made: dict[str, str] = vendor.devices.post(**here, device={"name": name} | fields)
        return made["id"]

    dock = add("dock", deviceClass="system", systemInterval=60)
    gateway = add("gateway", deviceClass="gateway", parentId=dock)
    crane = add(
        "crane",
        deviceClass="peripheral",
        gatewayId=gateway,
        attributes=KINDS[:1],
        tags=[{"key": "lifts", "value": "9 t"}],
    )
    others = [add(each, deviceClass=each) for each in SPARE]

    assert ids_of(vendor.devices.get(**here, parentId=dock)) == {gateway}
    classes = vendor.devices.get(**here, deviceClass=["floating", "embedded"], sortField="name")
    assert [each["name"] for each in classes["items"]] == ["embedded", "floating"]
    assert ids_of(vendor.devices.get(**here, query={"name": {"$startsWith": "cra"}})) == {crane}
    assert ids_of(vendor.devices.get(**here, tagFilter=[{"key": "dock", "value": "east"}])) == {pump}
    [shaped] = vendor.devices.get(**here, filterField="name", filter="pump", tagsAsObject=True)["items"]
    assert shaped["tags"] == {"dock": ["east"]}
    assert vendor.device.patch(**here, deviceId=crane, device={"description": "lifts"})["description"] == "lifts"
    assert vendor.device.get(**here, deviceId=crane)["gatewayId"] == gateway

    place = here | {"deviceId": crane}
    speed = {"name": "speed", "dataType": "number", "attributeTags": {"unit": "m/s"}}
    assert vendor.device_attributes.post(**place, deviceAttribute=speed)["name"] == "speed"
    told = {"description": "of the hook"}
    assert vendor.device_attribute.patch(**place, name="speed", deviceAttribute=told)["description"] == "of the hook"
    assert vendor.device_attribute.get(**place, name="speed")["attributeTags"] == {"unit": "m/s"}
    assert [each["name"] for each in vendor.device_attributes.get(**place)["items"]] == ["level", "speed"]
    assert vendor.device_attribute.delete(**place, name="speed") == {"success": True}
    assert refusal(vendor.device_attribute.get, **place, name="speed") == (404, "NotFound")

    assert vendor.devices.attribute_names(**here, dataType=["gps"])["attributeNames"] == ["place"]
    [found] = vendor.devices.device_names(**here, startsWith="cr")["deviceSummary"]
    assert found == {"id": crane, "deviceClass": "peripheral", "name": "crane"}
    assert "dock" in vendor.devices.tag_keys(**here)["tagKeys"]
    assert vendor.devices.tag_values(**here, key="dock")["tagValues"] == ["east"]
    change = {"deviceIds": others, "updateFields": {"description": "spare"}}
    assert vendor.devices.patch(**here, patchInfo=change)["updated"] == len(others)

    # They go, one by one and by a query, and come back.
    assert vendor.device.delete(**here, deviceId=others[0]) == {"success": True}
    gone = {"query": {"deviceClass": {"$in": SPARE}}}
    assert vendor.devices.delete(**here, options=gone)["removed"] == len(others) - 1
    assert refusal(vendor.device.get, **here, deviceId=others[1]) == (404, "NotFound")
    assert ids_of(vendor.devices.get(**here, queryDeleted=True)) == set(others)
    assert vendor.devices.restore(**here, options=gone)["restored"] == len(others)
    assert vendor.device.get(**here, deviceId=others[1])["description"] == "spare"


def test_state_goes_in_and_is_asked_for(program: Program, harbour: str, pump: str) -> None:
    vendor, place = program.vendor, {"applicationId": harbour, "deviceId": pump}
    here = {"applicationId": harbour}
    first = {"data": {"level": 4.5, "mode": "auto", "unknown": 1}, "meta": {"by": "hand"}}
    assert vendor.device.send_state(**place, deviceState=first) == {"success": True}
    years_ago = {"time": 1_600_000_000_000, "data": {"level": 9}}
    vendor.device.send_state(**place, deviceState=[{"data": {"level": 5, "open": True}}, years_ago])
    shown = wait_until(lambda: len(found := vendor.device.get_state(**place, limit=10)) == 2 and found)
    assert [each["data"]["level"] for each in shown] == [5, 4.5]
    assert shown[1]["meta"] == {"by": "hand"}
    composite = wait_until(lambda: len(found := vendor.device.get_composite_state(**place)) == 3 and found)
    assert {name: each["value"] for name, each in composite.items()} == {"level": 5, "mode": "auto", "open": True}
    page = vendor.devices.get_composite_state(**here, query={"name": "pump"}, attributes="level")
    assert page["items"][0]["compositeState"]["level"]["value"] == 5

    asked = {"deviceIds": [pump], "attributes": ["level"], "duration": 3_600_000}
    series = vendor.data.time_series_query(**here, query=asked)
    assert [each["data"]["level"] for each in series["devices"][pump]["points"]] == [4.5, 5]
    whole = vendor.data.time_series_query(**here, query=asked | {"resolution": 3_600_000, "aggregation": "MEAN"})
    assert sum(each["data"]["level"] for each in whole["devices"][pump]["points"])
    last = vendor.data.last_value_query(**here, query={"deviceTags": [{"key": "dock"}], "attribute": "mode"})
    assert last[pump]["data"]["mode"] == "auto"

    assert vendor.device.set_connection_status(**place, connectionStatus={"status": "connected"}) == {"success": True}
    assert vendor.device.get_log_entries(**place)[0]["connected"] == 1
    assert vendor.device.payload_counts(**place) is not None
    assert vendor.device.payload_counts_breakdown(**place, resolution=86_400_000)


def test_commands_and_messages_are_sent(program: Program, harbour: str, pump: str) -> None:
    vendor, here = program.vendor, {"applicationId": harbour}
    place = here | {"deviceId": pump}
    assert vendor.device.send_command(**place, deviceCommand={"name": "open", "payload": {"valve": 3}})
    assert vendor.devices.send_command(**here, multiDeviceCommand={"name": "shut", "deviceIds": [pump]})
    names = wait_until(lambda: len(found := vendor.device.get_command(**place, limit=10)) == 2 and found)
    assert {each["name"] for each in names} == {"open", "shut"}
    spoken = {"topic": "harbour/gate", "message": "open"}
    assert vendor.application.mqtt_publish_message(**here, payload=spoken) == {"success": True}
    forbidden = {"topic": "losant/x/command", "message": ""}
    assert refusal(vendor.application.mqtt_publish_message, **here, payload=forbidden) == (400, "Validation")


def test_events_are_worked_on(program: Program, harbour: str, pump: str) -> None:
    vendor, here = program.vendor, {"applicationId": harbour}
    draft = {"level": "critical", "subject": "hot", "deviceId": pump, "eventTags": {"line": "7"}}
    event = vendor.events.post(**here, event=draft)
    vendor.events.post(**here, event={"level": "info", "subject": "dull"})
    place = here | {"eventId": event["id"]}
    done = {"state": "acknowledged", "comment": "on my way"}
    assert vendor.event.patch(**place, event=done)["state"] == "acknowledged"
    assert vendor.event.get(**place)["updates"][0]["comment"] == "on my way"
    assert ids_of(vendor.events.get(**here, query={"eventTags": {"$tagKey": "line"}})) == {event["id"]}
    assert vendor.events.most_recent_by_severity(**here)["newCount"] == 1
    assert vendor.events.patch(**here, updates={"state": "resolved"}, query={"subject": "dull"})
    log = program.done(vendor.events.export(**here, exportData={"format": "json"}), harbour)
    assert b"hot" in download(log)
    program.done(vendor.application.full_events_archive(**here), harbour)
    assert vendor.event.delete(**place) == {"success": True}
    assert vendor.events.delete(**here, query={"subject": "dull"})
    assert wait_until(lambda: vendor.events.get(**here)["totalCount"] == 0)


def test_jobs_make_files_and_take_data_away(program: Program, harbour: str) -> None:
    vendor, here = program.vendor, {"applicationId": harbour}
    made = vendor.devices.post(**here, device={"name": "tide", "attributes": KINDS})
    place = here | {"deviceId": made["id"]}
    vendor.device.send_state(**place, deviceState={"data": {"level": 7}})
    wait_until(lambda: vendor.device.get_state(**place))

    queued = vendor.data.export(**here, query={"deviceIds": [made["id"]], "attributes": ["level"]})
    log = program.done(queued, harbour)
    assert _names_in(download(log)) == ["data.csv"]
    assert log["id"] in ids_of(vendor.application_job_logs.get(**here))
    assert _names_in(download(program.done(vendor.device.export(**place, query={}), harbour))) == ["data.csv"]
    tables = [
        vendor.devices.export(**here, options={"format": "csv", "query": {"name": "tide"}}),
        vendor.devices.payload_counts(**here, options={"query": {"name": "tide"}}),
    ]
    for each in tables:
        assert download(program.done(each, harbour))

    program.done(vendor.device.remove_data(**place), harbour)
    assert vendor.device.get_state(**place) == []
    program.done(vendor.devices.remove_data(**here, options={"query": {"name": "tide"}}), harbour)

    config = {"mode": "all", "directory": "cold"}
    vendor.application.patch(**here, application={"archiveConfig": config})
    program.done(vendor.application.archive_data(**here, date="2026-03-14"), harbour)
    program.done(vendor.application.backfill_archive_data(**here), harbour)
    assert refusal(vendor.application.full_data_tables_archive, **here) == (501, "NotImplemented")


def test_an_application_is_copied_and_goes(program: Program, harbour: str) -> None:
    vendor, here = program.vendor, {"applicationId": harbour}
    log = program.done(vendor.application.export(**here, options={"includeDevices": True}), harbour)
    assert "application.yaml" in _names_in(download(log))
    assert vendor.application.clone(**here, options={"dryRun": True, "includeDevices": True})
    queued = vendor.application.clone(**here, options={"includeDevices": True, "forceJob": True})
    copy = program.done(queued, harbour)["output"]["applicationId"]
    original = vendor.devices.get(**here)["totalCount"]
    assert vendor.devices.get(applicationId=copy)["totalCount"] == original
    assert isinstance(vendor.application.import_logs(**here), list)
    assert refusal(vendor.application.apply_template, **here, options={"templateId": NOBODY}) == (501, "NotImplemented")
    assert vendor.application.delete(applicationId=copy) == {"success": True}
    assert refusal(vendor.application.get, applicationId=copy) == (404, "NotFound")


def test_the_stories_leave_no_action_out() -> None:
    ledger = {line.operation: line.status for line in read_ledger("roadstead.dialects.losant")}
    known = {name for name, action in ACTIONS.items() if len(action["clients"]) > 1}
    served = {name for name in known if ledger[name] in ("served", "partial")}
    refused = {name for name in known if ledger[name] == "refused"}
    assert {name for name, status in _answered.items() if status == 200} == served
    assert {name for name, status in _answered.items() if status == 501} == refused


def _names_in(content: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return sorted(archive.namelist())
