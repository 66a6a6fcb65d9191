"""Signing in and out."""

from dataclasses import dataclass
from http import HTTPStatus

from fivefold.console.answering import Document
from fivefold.console.rendering import render_alone
from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit
from fivefold.usecases.accounts import sessions


@dataclass(frozen=True, kw_only=True)
class SignInPage:
    """The form for a token.

    Attributes:
        next: the address that the person came for.
        refused: the token that was typed may not be used.
        ended: a form was sent after the session ended.
    """

    next: str
    refused: bool
    ended: bool


@dataclass(frozen=True)
class SessionPage:
    """The person's own session."""

    role: str


def sign_in_page(next_address: str, *, refused: bool = False, ended: bool = False) -> Document:
    """Show the form; the arguments are those of `SignInPage`."""
    status = HTTPStatus.FORBIDDEN if refused else HTTPStatus.OK
    page = SignInPage(next=next_address, refused=refused, ended=ended)
    answer = Rendered(template="accounts/sign_in.html", title=text("Sign in"), page=page)
    return Document(status, html=render_alone(answer))


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


def show_session(visit: Visit) -> Answer:
    """Show who is signed in, with which role, and how to sign out."""
    page = SessionPage(role=visit.role)
    return Rendered(template="accounts/session.html", title=text("Your session"), page=page)
