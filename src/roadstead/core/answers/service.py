"""What can be done with kept answers."""

import hashlib

from roadstead.core.answers import store
from roadstead.core.answers.model import KEPT, Answer
from roadstead.core.operation import unguarded
from roadstead.core.work import Work
from roadstead.kernel.errors import Conflict, FieldProblem, Invalid


@unguarded("only an answer that the caller was given before is shown")
async def claim_answer(work: Work, operation: str, key: str, request: bytes) -> Answer | None:
    """The answer this request was given in the last 24 hours, or None: then the key is ours while the work lasts.

    `request` is everything that makes it this request and no other. Raises `Conflict` while another one works under
    the same key, and `Invalid` when the key was used for another request or by somebody else.
    """
    if not await store.try_lock(work.tx, work.tenant_id, operation, key):
        raise Conflict("a request with this Idempotency-Key is still being worked on", code="idempotency-in-progress")
    kept = await store.select_answer(work.tx, work.tenant_id, operation, key, newer_than=work.now() - KEPT)
    if kept is None:
        return None
    if kept.request_hash != _hash(work, request):
        problem = FieldProblem("Idempotency-Key", "idempotency-key-reused", "was used for another request", "header")
        raise Invalid(f"Idempotency-Key: {problem.detail}", code="idempotency-key-reused", fields=[problem])
    return Answer(kept.status, kept.headers, work.ports.vault.open(kept.body, "answer"))


@unguarded("it is the caller's own answer")
async def keep_answer(work: Work, operation: str, key: str, request: bytes, answer: Answer) -> None:
    """Keep an answer for a day, in the transaction of the work it tells of: both are there or neither."""
    kept = store.KeptAnswer(
        _hash(work, request), answer.status, answer.headers, work.ports.vault.seal(answer.body, "answer")
    )
    await store.insert_answer(work.tx, work.tenant_id, operation, key, kept, work.now())


def _hash(work: Work, request: bytes) -> bytes:
    # The caller belongs to it: an answer may show what only they may see, such as the secret of a new key.
    return hashlib.sha256(work.actor.id.bytes + request).digest()
