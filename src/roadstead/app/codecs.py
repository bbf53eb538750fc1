"""How the devices of each dialect spell their messages, how they answer, and how they are told things."""

from collections.abc import Mapping
from datetime import timedelta

from roadstead.core.downlinks import AnswerCodec, Speller
from roadstead.core.ports import Codec
from roadstead.dialects.leverege import LeveregeCodec
from roadstead.dialects.lightelligence import LightelligenceCodec, LightelligenceSpeller
from roadstead.dialects.losant import LosantCodec, LosantSpeller
from roadstead.dialects.native import NativeAnswers, NativeCodec, NativeSpeller
from roadstead.settings import Settings

CODECS: Mapping[str, Codec] = {
    "native": NativeCodec(),
    "lightelligence": LightelligenceCodec(),
    "leverege": LeveregeCodec(),
    "losant": LosantCodec(),
}
"""As they are when nothing is set."""


def codecs_of(settings: Settings) -> Mapping[str, Codec]:
    """The same as the settings want them."""
    numbers = settings.losant
    losant = LosantCodec(
        oldest=timedelta(days=numbers.oldest_state_days), ahead=timedelta(hours=numbers.state_ahead_hours)
    )
    return {**CODECS, "losant": losant}


ANSWER_CODECS: Mapping[str, AnswerCodec] = {"native": NativeAnswers()}

SPELLERS: Mapping[str, Speller] = {
    "native": NativeSpeller(),
    "lightelligence": LightelligenceSpeller(),
    "losant": LosantSpeller(),
}
