"""Answers a visit: the right first, then the handler; a refusal becomes a page that says why."""

import re
from dataclasses import dataclass, replace
from http import HTTPStatus

from markupsafe import escape

from fivefold.console.rendering import reading_in, render, render_alone, sentence
from fivefold.console.texts import text
from fivefold.console.visit import (
    FREE_TEXT,
    Answer,
    Download,
    FieldError,
    Redirect,
    Rendered,
    View,
    Visit,
    Written,
    WrittenText,
    written_in,
)
from fivefold.domain.errors import (
    ConfigError,
    ConflictError,
    FivefoldError,
    LockedError,
    UnknownOutcomeError,
    http_status,
)
from fivefold.store.sql.database import reachable

LONGEST_CHOICE = 20
"""Characters of a text that may be a choice where its field is none of `FREE_TEXT`; a longer one was written."""
SHOWN_AGAIN = (404, 409, 422)
"""Refusals that a person can mend on the page where they arose; 404 where what was typed names nothing."""


@dataclass(frozen=True)
class ConsoleResponse:
    """What is sent: a page, where to go instead, or a file.

    Attributes:
        cause: why the database was of no use, for the log alone; else empty.
    """

    status: int
    html: str = ""
    location: str = ""
    file: Download | None = None
    cause: str = ""


@dataclass(frozen=True)
class ErrorPage:
    """Why there is no page, and what was written into the form that was sent.

    Attributes:
        of_form: the address of the page that has the form, where its session is another one; empty otherwise.
    """

    status: int
    reason: str
    written: Written = ()
    of_form: str = ""


def answer(view: View, visit: Visit) -> ConsoleResponse:
    """Answer a visit; raises what is a fault of the program itself."""
    if not all(visit.may(right) for right in view.rights):
        return error_document(visit, 403, text("Your role, {role}, may not see this.", role=visit.role))
    try:
        if view.method == "GET" and view.at_one_moment:
            if view.before is not None:
                with reachable(visit.engine):
                    view.before(visit)
            with visit.at_one_moment() as visit_then:
                return _document(visit_then, view.handler(visit_then))
        with reachable(visit.engine):
            return _document(visit, view.handler(visit))
    except FivefoldError as error:
        return _refusal(view, visit, error)


def _refusal(view: View, visit: Visit, error: FivefoldError) -> ConsoleResponse:
    status = http_status(error)
    if status is None:
        raise error
    if status >= 500:  # a person need not know how the database fails
        return replace(error_document(visit, status, database_reason(error)), cause=str(error))
    is_shown_again = status in SHOWN_AGAIN and not visit.is_of_script  # a script puts the reason into its own page
    if view.page is None or not is_shown_again:
        return error_document(visit, status, _with_names(visit, str(error)))
    reason = _with_names(visit, str(error))
    problem = _stale(reason) if isinstance(error, ConflictError) else reason
    refused = replace(visit, problem=problem, problem_field=_field(visit, error))
    try:
        with reachable(visit.engine):
            again = replace(view.page(refused), status=status)
            html = render(refused, again)
            if gone := _gone(html, visit):
                html = render(replace(refused, gone=gone), again)
            return ConsoleResponse(status, html=html)
    except FivefoldError as missing:  # the page is of something that is not there, such as an unknown customer
        return _refusal(replace(view, page=None), visit, missing)


def _field(visit: Visit, error: FivefoldError) -> str:
    """Name the field that a refusal is about: use cases begin with its name; empty where it is about no single one."""
    if isinstance(error, FieldError):
        return error.name
    word = str(error).partition(" ")[0]
    return word if isinstance(error, ConfigError | ConflictError) and word in visit.form else ""


def _with_names(visit: Visit, reason: str) -> str:
    """Name members and moments as pages do, where a use case names them as the audit log does."""
    with reading_in(visit.session.zone):
        return re.sub(r"member:\d+", lambda actor: visit.names.get(actor[0], actor[0]), sentence(reason))


def _gone(html: str, visit: Visit) -> tuple[WrittenText, ...]:
    """Give what was written into a form that the page does not show again, as what it asked for was done meanwhile.

    A short word alone does not mean that, unless it was written freely: it may be a choice, or a box that was ticked.
    """
    shown = " ".join(html.split())
    written = written_in(visit.form)
    return written if any(_is_lost(each, shown) for each in written) else ()


def _is_lost(written: WrittenText, shown: str) -> bool:
    """Tell whether a page lacks what was written: a short text as a whole, as its letters may stand in other words."""
    plain = " ".join(escape(written.text).split())
    if len(plain) > LONGEST_CHOICE or not plain.isascii():
        return plain not in shown
    return written.field in FREE_TEXT and not re.search(f'(?:[">]|: ) ?{re.escape(plain)} ?["<]', shown)


def _stale(reason: str) -> str:
    return text("{reason}. The page shows the present state.", reason=reason.rstrip("."))


def _document(visit: Visit, outcome: Answer) -> ConsoleResponse:
    if isinstance(outcome, Download):
        return ConsoleResponse(HTTPStatus.OK, file=outcome)
    if isinstance(outcome, Redirect):
        return ConsoleResponse(HTTPStatus.SEE_OTHER, location=outcome.location(visit.form_token))
    return ConsoleResponse(outcome.status, html=render(visit, outcome))


def database_reason(error: FivefoldError) -> str:
    """Say what to do where the database is of no use."""
    if isinstance(error, UnknownOutcomeError):
        return text(
            "The connection to the database was lost while this was being stored. "
            "It may have been done: check before you send it again."
        )
    if isinstance(error, LockedError):
        return text("Another transaction locked the database for too long. Nothing was changed; try again later.")
    return text("The database does not answer. Nothing was changed; try again later.")


def fault_reason(status: int, *, is_form: bool) -> str:
    """Say what to do after the program failed, or took too long; a page that was only opened changed nothing."""
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        what = text("This failed; the log of the service has the details.")
        advice = text("Check whether it was done before you try again.") if is_form else text("Try again in a while.")
    elif status == HTTPStatus.GATEWAY_TIMEOUT:
        what = text("This took too long and was stopped.")
        advice = text("It may have been done: check before you send it again.") if is_form else text("Load it again.")
    else:
        return ""
    return f"{what} {advice}"


def error_document(visit: Visit, status: int, reason: str) -> ConsoleResponse:
    """Write the page of an error; for a script the part of its page that says why."""
    if visit.is_of_script:
        return error_part(status, reason)
    return ConsoleResponse(status, html=render(visit, _error_page(status, reason, written_in(visit.form))))


def other_session(visit: Visit) -> ConsoleResponse:
    """Say that another session wrote a form, and who is signed in now; what was written is shown, and nothing done."""
    reason = text(
        "You are signed in as {member} now; this form was written by another session. Nothing was changed.",
        member=visit.session.member,
    )
    if visit.is_of_script:
        return error_part(403, reason)
    of_form = visit.path + visit.carried(f"{visit.path}/{visit.action}")
    page = ErrorPage(403, reason, written_in(visit.form), of_form)
    shown = Rendered(template="shared/error.html", title=text("Another session"), page=page)
    return ConsoleResponse(403, html=render(visit, shown))


def error_part(status: int, reason: str) -> ConsoleResponse:
    """Write what a script puts into the page that is open, in place of what it asked for: why it is refused."""
    page = replace(_error_page(status, reason, ()), template="shared/error_part.html")
    return ConsoleResponse(status, html=render_alone(page))


def error_alone(status: int, reason: str, written: Written = ()) -> ConsoleResponse:
    """Write the page of an error for a request without a session."""
    return ConsoleResponse(status, html=render_alone(_error_page(status, reason, written)))


def _error_page(status: int, reason: str, written: Written) -> Rendered:
    title = _titles().get(status, HTTPStatus(status).phrase)
    page = ErrorPage(status, reason or f"{title}.", written)
    return Rendered(template="shared/error.html", title=title, page=page, status=status)


def _titles() -> dict[int, str]:
    """The titles of errors by their status; others have the phrase of HTTP."""
    return {
        403: text("Not for you"),
        404: text("Not found"),
        409: text("Not possible now"),
        413: text("Too large"),
        422: text("This cannot be read"),
        503: text("Out of reach"),
        504: text("No answer"),
    }
