"""How the devices of each dialect spell their messages, how they answer, and how they are told things."""

from collections.abc import Mapping

from roadstead.core.downlinks import AnswerCodec, Speller
from roadstead.core.ports import Codec
from roadstead.dialects.leverege import LeveregeCodec
from roadstead.dialects.lightelligence import LightelligenceCodec, LightelligenceSpeller
from roadstead.dialects.native import NativeAnswers, NativeCodec, NativeSpeller

CODECS: Mapping[str, Codec] = {
    "native": NativeCodec(),
    "lightelligence": LightelligenceCodec(),
    "leverege": LeveregeCodec(),
}

ANSWER_CODECS: Mapping[str, AnswerCodec] = {"native": NativeAnswers()}

SPELLERS: Mapping[str, Speller] = {"native": NativeSpeller(), "lightelligence": LightelligenceSpeller()}
