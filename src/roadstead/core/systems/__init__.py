"""Systems: devices that say, again and again, what the devices below them come to."""

from roadstead.core.systems.model import Due, Place, Said
from roadstead.core.systems.service import settle, spell_said, take_due, work_out

__all__ = ["Due", "Place", "Said", "settle", "spell_said", "take_due", "work_out"]
