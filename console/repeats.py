"""Forms that do something once, however often they are sent: each has a key, as requests of `/v1` may have."""

from collections.abc import Callable
from hashlib import sha256
from secrets import token_urlsafe

from fivefold.console.texts import text
from fivefold.console.visit import Answer, Visit
from fivefold.domain.errors import ConfigError, ConflictError
from fivefold.store.accounts.idempotency import RequestAttempt, attempting
from fivefold.usecases.shared.idempotency import IdempotentRequest, StoredAnswer, answer_once

FIELD = "form_key"
_DONE = 200


def new_key() -> str:
    """Give the key of a form that is written now."""
    return token_urlsafe(16)


def once(visit: Visit, work: Callable[[], Answer]) -> Answer:
    """Do what a form asks for, unless that was done when the same form was sent before.

    Raises:
        ConfigError: the form has no key.
        ConflictError: it was sent before; or as *work* says.
    """
    key = visit.typed(FIELD, text("Key of the form"))
    if len(key) > len(new_key()):
        raise ConfigError(text("the form's key is not from this page; reload the page"))
    answers, begun = list[Answer](), list[bool]()

    def attempt(name: RequestAttempt) -> StoredAnswer:
        begun.append(True)
        with attempting(name):
            answers.append(work())
        return StoredAnswer(_DONE, None)

    digest = sha256(f"{visit.path}/{visit.action}".encode()).hexdigest()
    request = IdempotentRequest(
        visit.organisation_id, visit.session.credential.token_id, f"console {visit.action} {key}", digest
    )
    try:
        answer_once(visit.engine, request, attempt)
    except ConflictError as error:
        if begun:
            raise
        problem = text("this form was already sent; reload the page to send it again")
        raise ConflictError(problem) from error
    return answers[0]
