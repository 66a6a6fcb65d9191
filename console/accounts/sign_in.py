"""Signing in and out."""

from dataclasses import dataclass
from http import HTTPStatus

from fivefold.console.answering import ConsoleResponse
from fivefold.console.rendering import render_alone
from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit, Written
from fivefold.usecases.accounts import sessions


@dataclass(frozen=True, kw_only=True)
class SignInPage:
    """The form for a token.

    Attributes:
        next: the address that the person came for.
        refused: the typed token may not be used.
        ended: a form was sent after the session ended.
        identity_path: the path to the identity provider's sign-in; empty without a provider.
        problem: why the identity provider did not sign the person in; empty otherwise.
        written: the texts in the sent form; None if it could not be read.
    """

    next: str
    refused: bool
    ended: bool
    identity_path: str
    problem: str
    written: Written


@dataclass(frozen=True)
class EndedPart:
    """The part that a script puts into a page whose session has ended; *next* is the page."""

    next: str


@dataclass(frozen=True)
class SessionPage:
    """The person's own session; *zones*: those to choose from."""

    role: str
    zones: tuple[str, ...]


def sign_in_page(
    next_address: str,
    *,
    refused: bool = False,
    ended: bool = False,
    identity_path: str = "",
    problem: str = "",
    written: Written = (),
    status: int = HTTPStatus.OK,
) -> ConsoleResponse:
    """Show the form; the arguments are those of `SignInPage`."""
    page = SignInPage(
        next=next_address, refused=refused, ended=ended, identity_path=identity_path, problem=problem, written=written
    )
    answer = Rendered(template="accounts/sign_in.html", title=text("Sign in"), page=page)
    return ConsoleResponse(HTTPStatus.FORBIDDEN if refused else status, html=render_alone(answer))


def ended_part(next_address: str) -> ConsoleResponse:
    """Answer a script that the session has ended; texts on the open page stay."""
    answer = Rendered(template="accounts/ended.html", title=text("Sign in"), page=EndedPart(next_address))
    return ConsoleResponse(HTTPStatus.OK, html=render_alone(answer))


def sign_out(visit: Visit) -> Answer:
    """End this session."""
    sessions.sign_out(visit, visit.session.id)
    return Redirect("/console/sign-in")


def sign_out_everywhere(visit: Visit) -> Answer:
    """End all sessions of the member."""
    member_id = visit.session.credential.member_id
    assert member_id is not None, "only members sign in"
    sessions.sign_out_everywhere(visit, member_id)
    return Redirect("/console/sign-in")


def show_session(visit: Visit) -> Rendered:
    """Show who is signed in, with which role, and how to sign out."""
    page = SessionPage(role=visit.role, zones=sessions.zones())
    return Rendered(template="accounts/session.html", title=text("Your session"), page=page)


def take_role(visit: Visit) -> Answer:
    """Continue in another of the member's roles."""
    sessions.take_role(visit, visit.session.id, visit.typed("role", text("The role")))
    return Redirect("/console/session", "role-taken")


def choose_zone(visit: Visit) -> Answer:
    """Choose the time zone in which the member reads times."""
    member_id = visit.session.credential.member_id
    assert member_id is not None, "only members sign in"
    sessions.choose_zone(visit, member_id, visit.typed("zone", text("The zone")))
    return Redirect("/console/session", "zone-set")
