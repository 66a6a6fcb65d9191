"""A visit: what a person asked a page for, and what comes back to that."""

import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote, urlencode

from fivefold.console.texts import text
from fivefold.domain.clock import parse_moment
from fivefold.domain.errors import ConfigError, NotFoundError
from fivefold.domain.paging import Page, Part, cursor_of, key_of
from fivefold.store.accounts.plans import Plan
from fivefold.usecases.accounts.organisations import list_members
from fivefold.usecases.accounts.second_person import has_sole_operator
from fivefold.usecases.accounts.sessions import MemberSession
from fivefold.usecases.accounts.tokens import program_named
from fivefold.usecases.levels.value_scores import EntityScorer
from fivefold.usecases.models.read import OpenRegistry, no_registry
from fivefold.usecases.shared.actors import Role
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.inputs import FEW_DIGITS, digits, read_moment

Rights = Mapping[str, frozenset[Role]]
"""The roles that may call a route of `/v1`, by its method and path."""

ROWS_OF_A_LIST = 50
_MEMBER: Final = re.compile(r"\bmember:\d+")
NOTICE = "notice"
"""In an address: what was just done; signed, so that no other site can say it."""
CURSOR: Final = "after"
"""In an address: where a list goes on; with the name of a list behind it, where that one does."""
TRAIL = ("queue", "place")
"""In an address: the filtered queue that a person works through, and where they are in it; kept from page to page."""


PUT_IN = {
    *("form_token", "form_key", "token", "secret", "password", "filter", "next", "request", "revision", "sequence"),
    *("change", "enabled", "every", "of", "on", "serving", "show", "assigned", "assessment", "action", "external_id"),
    *("override", "newest"),
    *("form_part", "form_kind", "form_name", "form_after", "form_opened"),
}
"""Fields that are secret, or hidden: what pages put into forms, with those that begin with `seen`."""


FREE_TEXT = {
    "accept_warnings",
    "conclusion",
    "description",
    "document",
    "label",
    "members",
    "name",
    "reason",
    "source",
    "tag",
    "title",
    "words",
}
"""Fields into which people write what no page offers them to choose."""


class FieldError(ConfigError):
    """What was typed into one field cannot be used."""

    def __init__(self, name: str, message: str) -> None:
        """Keep the *name* of the field beside what is wrong with it."""
        super().__init__(message)
        self.name = name


@dataclass(frozen=True)
class Upload:
    """A file that was sent with a form: its name, as the browser gave it, and its bytes."""

    name: str
    content: bytes


@dataclass(frozen=True)
class WrittenText:
    """A text that a person wrote into a field of a form."""

    field: str
    text: str


Written = tuple[WrittenText, ...] | None
"""What was written into a form; None where it could not be read."""


@dataclass(frozen=True, kw_only=True)
class Visit(Context):
    """What a person asks for: the context of use cases, and what they sent.

    Attributes:
        session: of the person.
        rights: the table of `/v1`.
        path: of the page; of an action, of the page that shows it.
        site: how the browser reached the console, such as https://risk.example; empty where that is not known.
        form_token: goes with every form, and shows that a page of this session wrote it.
        parts: the variable parts of the path, by name.
        query: what the address asks for.
        form: what was typed.
        file: that was sent, where the view takes one as its bytes; None for none.
        valuer: the value model that serves; None where none does.
        plans: the limits that tokens may have, by name.
        registry: opens the registry of its versions; it gives None where nothing was trained yet.
        action: the last part of an action's path; empty for a page.
        problem: why an action was not carried out; empty otherwise.
        problem_field: the field that the problem is about; empty where it is about no single one.
        gone: what was written into a form that was refused, and that the page does not show again.
        nonce: of the scripts of the page; empty where the page has none.
        is_of_script: a script asked, to put a part of the page into the one that is open.
    """

    session: MemberSession
    rights: Rights
    path: str
    form_token: str
    site: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    file: Upload | None = None
    valuer: EntityScorer | None = None
    plans: Mapping[str, Plan] = field(default_factory=dict)
    registry: OpenRegistry = no_registry
    action: str = ""
    problem: str = ""
    problem_field: str = ""
    gone: "tuple[WrittenText, ...]" = ()
    nonce: str = ""
    is_of_script: bool = False

    @property
    def trail(self) -> str:
        """Write what of the address leads on through the queue; empty where the person came another way."""
        return self._query_of(name for name in TRAIL if name in self.query)

    def carried(self, action: str) -> str:
        """Write what a form carries to an *action*: to one of its own page the whole query, to another the trail.

        Where the action is refused, its page is shown with the same filter, part of a list or version beside it.
        """
        return self.trail if action.rpartition("/")[0] != self.path else self._whole_query

    def has_done(self, *actions: str) -> bool:
        """Tell whether a whole page shows what one of these actions came to: that has the focus, unless a refusal has.

        Where a script asks, the person goes on in the field that they type into.
        """
        return self.action in actions and not self.problem and not self.is_of_script

    @property
    def address(self) -> str:
        """Write where the page is, with its filters, as it stands on paper."""
        return f"{self.site}{quote(self.path, safe='/%')}{self._whole_query}"

    @property
    def beginning(self) -> str:
        """Write the address of the page with each list from its first row; empty where they all begin there."""
        if not any(self.query[name] for name in self.query if _is_cursor(name)):
            return ""
        return self.path + self._query_of(name for name in self.query if name != NOTICE and not _is_cursor(name))

    @property
    def _whole_query(self) -> str:
        return self._query_of(name for name in self.query if name != NOTICE)

    def _query_of(self, names: Iterable[str]) -> str:
        parameters = [(name, self.query[name]) for name in names]
        return f"?{urlencode(parameters)}" if parameters else ""

    @property
    def role(self) -> Role:
        """The role of the session."""
        return Role(self.session.credential.role)

    def waits_for_another(self, author: str) -> bool:
        """Tell whether another person decides on what *author* asked for; a sole operator decides alone."""
        return author == self.actor.name and not self._is_sole_operator

    @cached_property
    def _is_sole_operator(self) -> bool:
        with self.reading() as session:
            return has_sole_operator(session, self.organisation_id)

    def may(self, route: str) -> bool:
        """Tell whether the person may do what a route of `/v1` does, such as `GET /v1/audit`."""
        return self.role in self.rights[route]

    @cached_property
    def names(self) -> Mapping[str, str]:
        """The names of the members, by the names that they act under, such as member:3."""
        return {f"member:{member.id}": member.name for member in list_members(self)}

    def person(self, actor: str) -> str:
        """Name who acted: members by name, a program by its token's label too; others as they are recorded.

        Of a promotion several are recorded in one text, such as `member:3, approved by member:4`.
        """
        if (named := _MEMBER.sub(lambda member: self.names.get(member[0], member[0]), actor)) != actor:
            return named
        if actor not in self._programs:
            label = program_named(self, actor)
            self._programs[actor] = actor if label is None else f"{label} ({actor})"
        return self._programs[actor]

    @cached_property
    def _programs(self) -> dict[str, str]:
        """The shown names of actors that are not members, as they were requested."""
        return {}

    def part(self, list_name: str, rows: int = ROWS_OF_A_LIST, *, beside: bool = False) -> Part:
        """Give the part of a list that the address asks for; ConfigError where it is of another list.

        A list *beside* another one of the page has a cursor of its own, so that each is read on without the other.
        """
        after = self.query.get(_cursor_name(list_name, beside), "")
        try:
            return Part(rows, key_of(self._own(list_name), after) if after else None)
        except ConfigError:
            raise ConfigError(text("This address leads to no part of the list; start at its first page.")) from None

    def next_of(self, list_name: str, page: Page[Any], *, beside: bool = False) -> str | None:
        """Write the address of the next page of a list; None on the last page.

        Of a list *beside* another one it leads to the element with the name of the list.
        """
        if page.next is None:
            return None
        parameters = {name: value for name, value in self.query.items() if name != NOTICE}
        cursor = {_cursor_name(list_name, beside): cursor_of(self._own(list_name), page.next)}
        return f"{self.path}?{urlencode({**parameters, **cursor})}{f'#{list_name}' if beside else ''}"

    def _own(self, list_name: str) -> str:
        filters = sorted((name, value) for name, value in self.query.items() if name != NOTICE and not _is_cursor(name))
        return f"{self.organisation_id} {self.path} {list_name} {filters}"

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """Give what the address chose among some, the first by default; ConfigError where it is none of them."""
        chosen = self.query.get(name) or choices[0]
        if chosen not in choices:
            named = [choice for choice in choices if choice]
            one_of = "" if len(named) == 1 else "one of "
            or_empty = ", or empty" if "" in choices else ""
            raise ConfigError(f"{name} is {chosen!r}; it must be {one_of}{', '.join(named)}{or_empty}")
        return chosen

    def filters(self, names: Iterable[str]) -> dict[str, str]:
        """Give what the address asks for by each of some names, as it was typed; empty where it asks for nothing."""
        return {name: self.query.get(name, "").strip() for name in names}

    def typed(self, name: str, label: str) -> str:
        """Give what was typed into a field; ConfigError where it is empty."""
        value = self.form.get(name, "").strip()
        if not value:
            raise FieldError(name, text("{label} is empty", label=label))
        if "\0" in value:
            raise FieldError(name, text("{label} has the character NUL, which cannot be stored", label=label))
        return value

    def number(self, name: str, label: str, most: int = FEW_DIGITS) -> int:
        """Give a whole number that was typed, or that the page put into its form; ConfigError where it is none.

        *most*: of its digits.
        """
        typed = self.typed(name, label)
        try:
            return whole_number(typed, label, most)
        except ConfigError as wrong:
            raise FieldError(name, str(wrong)) from wrong

    def moment(self, name: str, label: str) -> int:
        """Give a date or time that was typed into a field, in microseconds; ConfigError if it is not one."""
        typed = self.typed(name, label)
        try:
            return read_moment(typed, label)
        except ConfigError as wrong:
            raise FieldError(name, str(wrong)) from wrong

    def moment_if_any(self, name: str, label: str) -> int | None:
        """Give a date or time that was typed into a field, None where the field is empty; ConfigError as `moment`."""
        return self.moment(name, label) if self.form.get(name, "").strip() else None

    def version_of(self, part: str) -> tuple[str, int]:
        """Give the name under *part* of the path, and the number of the version; NotFoundError for no number."""
        return self.parts[part], existing_number(self.parts["number"], text("version"))

    def versions_beside(self, number: int, active: int | None) -> tuple[int | None, tuple[int, ...]]:
        """Give the version that one is compared with, and all those in the tabs; `against` names one, and adds it."""
        typed = self.query.get("against", "").strip()
        against = existing_number(typed, text("version")) if typed else None
        others = tuple(dict.fromkeys(each for each in (active, number - 1, against) if each and each != number))
        if against is None and others:
            against = others[0]
        return against, others

    def shown_number(self, name: str) -> int:
        """Give a number as the page of a form showed it, 0 for none; ConfigError where the form does not say."""
        return self.number(f"seen_{name}", text("What the page showed"))

    def shown_moment(self, name: str) -> int:
        """Give a moment as the page of a form showed it, in microseconds; ConfigError where the form does not say."""
        label = text("What the page showed")
        return parse_moment(self.typed(f"seen_{name}", label), label)

    def shown_hash(self, version: int | None = None) -> str:
        """Give the content hash of the version that the page of a form showed; ConfigError where it does not say.

        *version*: the number of the one that was chosen among several.
        """
        name = "seen_content" if version is None else f"seen_content_{version}"
        return self.typed(name, text("What the page showed"))

    def shown_state(self) -> str:
        """Give the state of the version that the page of a form showed; ConfigError where it does not say."""
        return self.typed("seen_state", text("What the page showed"))

    def confirmed_reason(self, missing: str) -> str:
        """Give the reason of a form with a box to tick; where it is not ticked a ConfigError says *missing*."""
        reason = self.typed("reason", text("Reason"))
        if "confirmed" not in self.form:
            raise FieldError("confirmed", missing)
        return reason

    def refused_entry(self, action: str, name: str, /, **about: object) -> str:
        """Give what was typed into a field of a form that was refused, to be shown in it again.

        Where a page has several forms of one action, *about* gives the hidden fields that tell this one from others.
        """
        is_this = action == self.action and all(self.form.get(each) == str(value) for each, value in about.items())
        return self.form.get(name, "") if is_this else ""

    def ticked(self, action: str | None, name: str, *, stands: bool = False) -> bool:
        """Tell whether a box is ticked: as in the form that was refused, or else as it *stands*."""
        return bool(self.form.get(name)) if action == self.action else stands


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """A page: its template, as `topic/name.html`, its title, and what the template shows."""

    template: str
    title: str
    page: Any
    status: int = 200


@dataclass(frozen=True)
class Redirect:
    """Another address, with a text of `NOTICES` that its page shows once."""

    address: str
    notice: str = ""

    def location(self, form_token: str) -> str:
        """Give the address to go to."""
        if not self.notice:
            return self.address
        path, mark, _ = self.address.partition("?")
        signature = _signature(form_token, path, self.notice)
        return f"{self.address}{'&' if mark else '?'}{urlencode({NOTICE: f'{self.notice}.{signature}'})}"


@dataclass(frozen=True)
class Download:
    """A file to be kept: its name, whose characters of ASCII are plain ones, its type, and its bytes."""

    name: str
    media_type: str
    content: bytes

    @property
    def disposition(self) -> str:
        """Name it in ASCII, and as it is written where that is another name, as RFC 6266 says.

        >>> print(Download("a.pdf", "application/pdf", b"").disposition)
        attachment; filename="a.pdf"
        >>> print(Download("ж1.pdf", "application/pdf", b"").disposition)
        attachment; filename="_1.pdf"; filename*=UTF-8''%D0%B61.pdf
        """
        plain = "".join(each if each.isascii() else "_" for each in self.name)
        written = "" if plain == self.name else f"; filename*=UTF-8''{quote(self.name, safe='')}"
        return f'attachment; filename="{plain}"{written}'


Answer = Rendered | Redirect | Download


@dataclass(frozen=True)
class View:
    """A page or an action of the console.

    Attributes:
        method: GET for a page, POST for an action.
        path: with its variable parts in braces.
        right: the route of `/v1` that the person must be allowed to call; None where everyone may who is signed in.
        handler: reads the visit, calls use cases, and answers.
        page: of an action: the page that is shown again where it is refused, with the reason.
        page_right: the right of that page, which the action needs too.
        takes_file: the field of its form whose file is read as its bytes; where it is empty a file is text in UTF-8.
        reads_document: its form has the text of a ruleset, and reading one takes a while.
        at_one_moment: all that a page shows was true together; False where one figure may fail and the others stay.
        before: of such a page: what is done before that moment, so that the page shows it.
    """

    method: str
    path: str
    right: str | None
    handler: Callable[[Visit], Answer]
    page: Callable[[Visit], Rendered] | None = None
    reads_document: bool = False
    takes_file: str = ""
    at_one_moment: bool = True
    before: Callable[[Visit], None] | None = None
    page_right: str | None = None

    @property
    def rights(self) -> tuple[str, ...]:
        """Everything that the person must be allowed to call."""
        return tuple(right for right in (self.right, self.page_right) if right is not None)


def _cursor_name(list_name: str, beside: bool) -> str:
    return f"{CURSOR}_{list_name}" if beside else CURSOR


def _is_cursor(name: str) -> bool:
    return name == CURSOR or name.startswith(_cursor_name("", True))


def notice_of(visit: Visit) -> str:
    """Name what was just done, as the address says it; empty where this session did not write that."""
    name, _, signature = visit.query.get(NOTICE, "").partition(".")
    own = _signature(visit.form_token, visit.path, name)
    return name if hmac.compare_digest(signature.encode(), own.encode()) else ""


def _signature(form_token: str, path: str, notice: str) -> str:
    return hmac.new(form_token.encode(), f"{path} {notice}".encode(), sha256).hexdigest()[:16]


def existing_number(written: str, what: str, most: int = FEW_DIGITS) -> int:
    """Read the number of something that is to be there; NotFoundError where nothing can have it."""
    number = digits(written, most)
    if number is None:
        raise NotFoundError(text("there is no {what} {number}", what=what, number=repr(written[:40])))
    return number


def row_number(typed: str, what: str) -> int:
    """Read the number of a row, which is above 0; ConfigError where it is none."""
    number = digits(typed, FEW_DIGITS)
    if not number:
        raise ConfigError(text("{number} is not the number of a {what}", number=repr(typed[:40]), what=what))
    return number


def without_nul(typed: str) -> str:
    """Give a text as a page can show it again."""
    return typed.replace("\0", "")


def written_in(form: Mapping[str, str]) -> tuple[WrittenText, ...]:
    """Give what was written into a form or chosen in it, but nothing that is secret or that its page put in by itself.

    >>> written_in({"form_token": "f3a9", "override": "1", "level": "high", "reason": "A court did.", "until": ""})
    (WrittenText(field='level', text='high'), WrittenText(field='reason', text='A court did.'))
    """
    return tuple(
        WrittenText(name, without_nul(typed))
        for name, typed in form.items()
        if typed.strip() and name not in PUT_IN and not name.startswith("seen")
    )


def whole_number(typed: str, label: str, most: int = FEW_DIGITS) -> int:
    """Read a whole number, by default one that a small table may have; ConfigError where it is none.

    >>> whole_number("12", "Member")
    12
    """
    number = digits(typed, most)
    if number is None:
        raise ConfigError(text("{label} is {typed}; it must be a whole number", label=label, typed=repr(typed[:40])))
    return number


def address(*parts: str) -> str:
    """Write the address of a page.

    >>> address("entities", "customer", "a/b ä")
    '/console/entities/customer/a%2Fb%20%C3%A4'
    """
    return "/".join(["/console", *(quote(part, safe="") for part in parts)])
