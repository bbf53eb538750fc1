"""What devices said, fitted into what they have; and places, in the ways in which they are spelled."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from roadstead.core.messages import ValueType
from roadstead.core.ports import RefusalReason
from roadstead.core.telemetry.fitting import BlobValue, blob_name, fit
from roadstead.core.telemetry.positions import read_place
from roadstead.core.telemetry.rules import Refused, Rule, TextForm
from roadstead.core.types import ProfileField
from roadstead.kernel.ids import DeviceId, new_id


def rule(value_type: ValueType, form: TextForm | None = None, *, most: float | None = None) -> Rule:
    """Of an attribute."""
    return Rule.of("a", ProfileField(name="a", value_type=value_type, max=most), form=form)


NUMBER, WHOLE = rule(ValueType.DOUBLE), rule(ValueType.BIGINT)
BOOLEAN, TEXT = rule(ValueType.BOOLEAN), rule(ValueType.TEXT)
GPS, BLOB = rule(ValueType.TEXT, TextForm.GPS), rule(ValueType.TEXT, TextForm.BLOB)


@pytest.mark.parametrize(
    ("own", "said", "fitted"),
    [
        (NUMBER, 5, 5.0),
        (NUMBER, " 21.5 ", 21.5),
        (NUMBER, "-1e3", -1000.0),
        (NUMBER, True, 1.0),
        (WHOLE, "9007199254740993", 9007199254740993),
        (WHOLE, 3.0, 3),
        (BOOLEAN, 0, False),
        (BOOLEAN, 1.0, True),
        (BOOLEAN, "False", False),
        (BOOLEAN, "1", True),
        (TEXT, 21.0, "21"),
        (TEXT, 0.1, "0.1"),
        (TEXT, False, "false"),
        (TEXT, "x" * 60_000, "x" * 60_000),
        (GPS, "39.10, -84.51", "39.10,-84.51"),
    ],
)
def test_a_value_takes_the_type_of_its_attribute(own: Rule, said: Any, fitted: Any) -> None:
    found = fit(own, said)
    assert found == fitted and type(found) is type(fitted)


@pytest.mark.parametrize(
    ("own", "said", "reason"),
    [
        (NUMBER, "low", RefusalReason.TYPE_MISMATCH),
        (NUMBER, "", RefusalReason.TYPE_MISMATCH),
        (NUMBER, "1_000", RefusalReason.TYPE_MISMATCH),
        (NUMBER, "nan", RefusalReason.TYPE_MISMATCH),
        (NUMBER, "1e999", RefusalReason.TYPE_MISMATCH),
        (NUMBER, [1], RefusalReason.TYPE_MISMATCH),
        (NUMBER, None, RefusalReason.TYPE_MISMATCH),
        (rule(ValueType.DOUBLE, most=10), "11", RefusalReason.OUT_OF_RANGE),
        (WHOLE, "1.5", RefusalReason.TYPE_MISMATCH),
        (BOOLEAN, 2, RefusalReason.TYPE_MISMATCH),
        (BOOLEAN, "yes", RefusalReason.TYPE_MISMATCH),
        (TEXT, {"a": 1}, RefusalReason.TYPE_MISMATCH),
        (
            Rule.of("a", ProfileField(name="a", value_type=ValueType.TEXT, enum=["N", "D"])),
            "R",
            RefusalReason.OUT_OF_RANGE,
        ),
        (TEXT, "ü" * 32_769, RefusalReason.TOO_LARGE),
        (TEXT, "a\0b", RefusalReason.MALFORMED),
        (GPS, "here", RefusalReason.TYPE_MISMATCH),
        (GPS, 5, RefusalReason.TYPE_MISMATCH),
        (BLOB, "no Base64!", RefusalReason.TYPE_MISMATCH),
        (BLOB, 5, RefusalReason.TYPE_MISMATCH),
    ],
)
def test_what_does_not_fit_is_refused(own: Rule, said: Any, reason: RefusalReason) -> None:
    with pytest.raises(Refused) as refused:
        fit(own, said)
    assert refused.value.reason is reason


@given(some.floats(allow_nan=False, allow_infinity=False))
def test_a_number_survives_the_way_through_text(number: float) -> None:
    text = fit(TEXT, number)
    assert fit(NUMBER, text) == number


@given(some.binary(max_size=200))
def test_a_file_is_named_by_what_is_in_it(content: bytes) -> None:
    value = fit(BLOB, base64.b64encode(content).decode())
    assert isinstance(value, BlobValue) and value.content == content
    device = DeviceId(new_id())
    assert blob_name(device, value.text) == blob_name(device, BlobValue(content).text)
    assert blob_name(DeviceId(new_id()), value.text) != blob_name(device, value.text)


def test_a_text_that_somebody_else_has_written_names_no_file() -> None:
    for text in ("", "sha256:", "sha256:../../secret", "sha256:" + "../" * 21 + "x", "hello"):
        assert blob_name(DeviceId(new_id()), text) is None


@pytest.mark.parametrize(
    ("spelled", "place"),
    [
        ("39.1005611,-84.5121", "39.1005611,-84.5121"),
        ("  -0.5 , +180 ", "-0.5,+180"),
        ("39°6'2.2\"N 84°30'43.6\"W", "39.1006111,-84.5121111"),
        ("39 6 2.2 N, 84 30 43.6 W", "39.1006111,-84.5121111"),
        ("N39°6.036', W84°30.7267'", "39.1006,-84.5121117"),
        ("84°30'43.6\"W, 39°6'2.2\"N", "39.1006111,-84.5121111"),
        ("33°52′10″S 151°12′30″E", "-33.8694444,151.2083333"),
        ("-33° 52' 10\", 151° 12' 30\"", "-33.8694444,151.2083333"),
        ("$GPGLL,4916.45,N,12311.12,W,225444,A,*1D", "49.2741667,-123.1853333"),
        ("$GPGLL,4916.45,N,12311.12,W", "49.2741667,-123.1853333"),
        ("$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47", "48.1173,11.5166667"),
    ],
)
def test_places_are_spelled_in_many_ways(spelled: str, place: str) -> None:
    assert read_place(spelled) == place


@pytest.mark.parametrize(
    "spelled",
    [
        "",
        "39.1",
        "91,0",
        "0,181",
        "39,1,2",
        "1e1,2",
        "39°60'0\"N 84°30'0\"W",
        "39°6'N 84°30'N",
        "39°6'E 84°30'W",
        "-39°6'N 84°30'W",
        "39.5°6'N 84°30'W",
        "$GPGLL,4916.45,N,12311.12,W,225444,A,*1E",
        "$GPGLL,4916.45,N,12311.12,W,225444,V",
        "$GPGLL,4966.45,N,12311.12,W",
        "$GPGGA,123519,4807.038,N,01131.000,E,0,08,0.9,545.4,M,46.9,M,,",
        "$GPRMC,123519,A,4807.038,N,01131.000,E",
        "$GPGLL,,,,,225444,V",
    ],
)
def test_what_is_no_place_is_not_taken_for_one(spelled: str) -> None:
    assert read_place(spelled) is None


@given(some.floats(-90, 90), some.floats(-180, 180))
def test_degrees_minutes_and_seconds_are_the_same_place(latitude: float, longitude: float) -> None:
    def spell(angle: float, letters: str) -> str:
        seconds = round(abs(angle) * 3600, 3)
        minutes, seconds = divmod(seconds, 60)
        degrees, minutes = divmod(int(minutes), 60)
        return f"{degrees}°{minutes}'{seconds:.3f}\"{letters[angle < 0]}"

    text = f"{spell(latitude, 'NS')} {spell(longitude, 'EW')}"
    place = read_place(text)
    if "60.000" in text:
        return  # rounded up to a full minute: nobody spells it so
    assert place is not None
    north, east = map(float, place.split(","))
    assert north == pytest.approx(latitude, abs=2e-6) and east == pytest.approx(longitude, abs=2e-6)


@given(some.text())
def test_no_text_is_too_strange_to_be_asked_for_a_place(text: str) -> None:
    read_place(text)
