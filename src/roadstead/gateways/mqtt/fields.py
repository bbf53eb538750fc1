"""The data types that MQTT packets are made of (section 1.5), read and written."""

from roadstead.gateways.mqtt.reasons import MalformedPacket, protocol_error


class Cursor:
    """Reads the fields of one packet from front to back; `MalformedPacket` when they reach over its end."""

    __slots__ = ("_at", "_body", "_end")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0
        self._end = len(body)

    @property
    def is_done(self) -> bool:
        """Whether everything was read."""
        return self._at == self._end

    def take(self, size: int) -> bytes:
        """So many bytes."""
        end = self._at + size
        if end > self._end:
            raise MalformedPacket("a field reaches over the end of its packet")
        part = self._body[self._at : end]
        self._at = end
        return part

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self._end - self._at)

    def one(self) -> int:
        """A byte."""
        return self.take(1)[0]

    def bit(self) -> int:
        """A byte that is 0 or 1."""
        value = self.one()
        if value > 1:
            raise protocol_error("a value must be 0 or 1")
        return value

    def two(self) -> int:
        """An integer of two bytes."""
        return int.from_bytes(self.take(2), "big")

    def four(self) -> int:
        """An integer of four bytes."""
        return int.from_bytes(self.take(4), "big")

    def variable(self) -> int:
        """An integer of one to four bytes in its shortest form [MQTT-1.5.5-1]."""
        value = shift = 0
        while True:
            byte = self.one()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > 21:
                raise MalformedPacket("a variable length takes more than four bytes")
        if shift and not byte:
            raise MalformedPacket("a variable length is longer than needed")
        return value

    def binary(self) -> bytes:
        """Bytes behind their length."""
        return self.take(self.two())

    def text(self) -> str:
        """A UTF-8 string behind its length: no surrogates, no U+0000 [MQTT-1.5.4-1] [MQTT-1.5.4-2]."""
        return read_text(self.binary())

    def pair(self) -> tuple[str, str]:
        """Two strings."""
        return self.text(), self.text()


def read_text(raw: bytes) -> str:
    """UTF-8 as MQTT allows it; `MalformedPacket` otherwise."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise MalformedPacket("a string is not UTF-8") from error
    if "\0" in text:
        raise MalformedPacket("a string contains U+0000")
    return text


def write_variable(value: int) -> bytes:
    """An integer below 268,435,456 in one to four bytes."""
    if not 0 <= value < 1 << 28:
        raise ValueError("a variable length has at most 28 bits")
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def write_binary(value: bytes) -> bytes:
    """Bytes behind their length; `ValueError` beyond 65,535 of them."""
    if len(value) > 0xFFFF:
        raise ValueError("a field has at most 65,535 bytes")
    return len(value).to_bytes(2, "big") + value


def write_text(value: str) -> bytes:
    """A string behind its length."""
    return write_binary(value.encode())
