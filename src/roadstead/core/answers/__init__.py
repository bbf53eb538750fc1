"""First answers, kept for a day: a request that comes again under the same key is answered again, not done again."""

from roadstead.core.answers.model import Answer
from roadstead.core.answers.service import claim_answer, keep_answer

__all__ = ["Answer", "claim_answer", "keep_answer"]
