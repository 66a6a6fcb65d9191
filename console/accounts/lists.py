"""Named lists: all of them, the members of each version, what a version changes, and the form for a new one."""

from dataclasses import dataclass
from typing import Final

from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit, address, without_nul
from fivefold.domain.clock import DAY_US, day_text, parse_moment
from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.domain.paging import Page, Part
from fivefold.usecases.accounts.list_members import (
    ListContent,
    ListDifference,
    MembersShown,
    compare_versions,
    compare_with_stored,
    list_members,
)
from fivefold.usecases.accounts.lists import list_version
from fivefold.usecases.changes import asks
from fivefold.usecases.changes.list_overview import (
    ListState,
    ListVersionState,
    WaitingVersion,
    list_list_states,
    list_version_states,
    read_list_state,
    waiting_versions,
)
from fivefold.usecases.changes.reference_fit import is_reference

LISTS: Final = "/console/lists"
MOST_BYTES: Final = 256_000
"""Of the members that a form takes."""
SHOWN: Final = Part(200)
"""Differences of a version that is not stored yet, on its page."""
SHOW: Final = ("members", "changes")
PURPOSES: Final = ("aml", "commercial", "both")


@dataclass(frozen=True, kw_only=True)
class ListsPage:
    """The lists, by name."""

    lists: Page[ListState]
    next: str | None


@dataclass(frozen=True, kw_only=True)
class ListPage:
    """One list.

    Attributes:
        versions: the newest first.
        waiting: changes that another person has to approve.
        is_reference: the list has the numbers of peers.
    """

    list: ListState
    address: str
    versions: Page[ListVersionState]
    next: str | None
    waiting: tuple[WaitingVersion, ...]
    is_reference: bool


@dataclass(frozen=True, kw_only=True)
class ListVersionPage:
    """One version of a list: its members, or what it changes.

    Attributes:
        since: when it begins, as in its address.
        show: members or changes.
        text: the text to search members by.
        before: the beginning of the version to compare with; None for a first version.
        next: the address of the next page of what is shown.
    """

    list: ListState
    address: str
    since: str
    show: str
    text: str
    members: MembersShown
    difference: ListDifference
    before: str | None
    next: str | None


@dataclass(frozen=True, kw_only=True)
class ListFormPage:
    """The form of a new version.

    Attributes:
        list: None for a new one.
        newest_since: when the newest version began as the form was opened; empty if there was none.
        purpose: the chosen one; empty to declare none.
        purposes: the choices.
        members: one per line; empty if the newest version has too many for a form.
        too_many: the newest version has too many members for a form.
        difference: from the newest version, once it was requested.
        count: how many members the version would have.
        repeat_count: how many lines repeat another one.
        empty_count: how many lines are empty.
        waiting: changes of this list that another person has to approve.
    """

    list: ListState | None
    address: str
    newest_since: str
    name: str
    since: str
    title: str
    source: str
    purpose: str
    purposes: tuple[str, ...]
    members: str
    too_many: bool
    difference: ListDifference | None
    count: int
    repeat_count: int
    empty_count: int
    waiting: tuple[WaitingVersion, ...]


def show_lists(visit: Visit) -> Rendered:
    """List the lists: the version in force, who added it, and what reads it."""
    lists = list_list_states(visit, visit.part("lists"))
    page = ListsPage(lists=lists, next=visit.next_of("lists", lists))
    return Rendered(template="accounts/lists.html", title=text("Lists"), page=page)


def show_list(visit: Visit) -> Rendered:
    """Show one list: its versions, and its waiting changes."""
    name = visit.parts["list"]
    state = read_list_state(visit, name)
    versions = list_version_states(visit, name, visit.part("versions", 20))
    page = ListPage(
        list=state,
        address=address("lists", name),
        versions=versions,
        next=visit.next_of("versions", versions),
        waiting=waiting_versions(visit, name),
        is_reference=is_reference(visit, name),
    )
    return Rendered(template="accounts/list.html", title=name, page=page)


def show_version(visit: Visit) -> Rendered:
    """Show the members of a version, or what it changes."""
    name, since_us = visit.parts["list"], _moment_of(visit.parts["since"])
    show, words = visit.choice("show", SHOW), visit.query.get("text", "")
    against = visit.query.get("against", "")
    part = visit.part(show, 100)
    members = list_members(visit, name, since_us, words, part if show == "members" else Part(0))
    difference = compare_versions(
        visit, name, since_us, _moment_of(against) if against else None, part if show == "changes" else Part(0)
    )
    page = ListVersionPage(
        list=read_list_state(visit, name),
        address=visit.path,
        since=day_text(since_us),
        show=show,
        text=words,
        members=members,
        difference=difference,
        before=None if difference.since_us is None else day_text(difference.since_us),
        next=visit.next_of(show, members.members if show == "members" else difference.changes),
    )
    title = text("{name} since {day}", name=name, day=day_text(since_us))
    return Rendered(template="accounts/list_version.html", title=title, page=page)


def _moment_of(written: str) -> int:
    """Read when a version begins; NotFoundError if no version can begin then."""
    try:
        return parse_moment(written)
    except ConfigError:
        raise NotFoundError(text("there is no version {since}", since=repr(written[:40]))) from None


def show_form(visit: Visit) -> Rendered:
    """Show the form of a new version, which starts from the newest one, or of a new list if none is named."""
    name = visit.parts.get("list")
    state, typed = None if name is None else read_list_state(visit, name), bool(visit.form)
    newest = None if name is None or state is None or typed else list_members(visit, name, state.newest_us)
    began = "" if newest is None else "\n".join(each.member for each in newest.members)
    too_many = len(began.encode()) > MOST_BYTES
    words = {"title": "" if state is None else state.title, "source": "" if state is None else state.source}
    first_us = visit.now() if state is None else max(visit.now(), state.newest_us + DAY_US)
    difference, count = _difference(visit) if visit.action == "check" and not visit.problem else (None, 0)
    written = _typed(visit).splitlines() if difference is not None else []
    lines = [line.strip() for line in written if line.strip()]
    page = ListFormPage(
        list=state,
        address=visit.path,
        newest_since=visit.form.get("seen", "") if typed else "" if state is None else day_text(state.newest_us),
        name=visit.form.get("name", ""),
        since=visit.form.get("since", "") if typed else day_text(first_us - first_us % DAY_US),
        **{name: visit.form.get(name, began) if typed else began for name, began in words.items()},
        purpose=visit.form.get("purpose", ""),
        purposes=PURPOSES,
        members=_typed(visit) if typed else "" if too_many else began,
        too_many=too_many,
        difference=difference,
        count=count,
        repeat_count=len(lines) - len({*lines}),
        empty_count=len(written) - len(lines),
        waiting=() if name is None else waiting_versions(visit, name),
    )
    title = text("New list") if name is None else text("New version of {name}", name=name)
    return Rendered(template="accounts/list_form.html", title=title, page=page)


def _difference(visit: Visit) -> tuple[ListDifference, int]:
    name, since_us, members, title, source = _version(visit)
    content = ListContent(since_us=since_us, title=title, source=source, members=members)
    return compare_with_stored(visit, name, content, part=SHOWN), len(members)


def check(visit: Visit) -> Answer:
    """Show what the typed version would change; nothing is stored."""
    list_version(*_version(visit), _purpose(visit))
    return show_form(visit)


def add(visit: Visit) -> Answer:
    """Add the version, or propose it once anything decides; a version that was added meanwhile is not replaced."""
    version, newest_since = _version(visit), visit.form.get("seen", "")
    if "list" in visit.parts:
        read_list_state(visit, visit.parts["list"])
    else:
        _refuse_there(visit, version[0])
    began = (_moment_of(newest_since),) if newest_since else ()
    reason, purpose = visit.form.get("reason", ""), _purpose(visit)
    outcome = asks.put_list_version(visit, *version, reason=reason, expected_since_us=began, purpose=purpose)
    if outcome.proposal is not None:
        return Redirect(address("proposals", str(outcome.proposal.id)), "list-proposed")
    return Redirect(address("lists", version[0]), "list-added" if outcome.changes else "list-same")


def _refuse_there(visit: Visit, name: str) -> None:
    try:
        read_list_state(visit, name)
    except NotFoundError:
        return
    raise ConflictError(text("there is already a list {name}; add a version to it", name=name))


def _version(visit: Visit) -> tuple[str, int, list[str], str, str]:
    name = visit.parts.get("list") or visit.typed("name", text("Name"))
    since_us = visit.moment("since", text("In force from"))
    members = _members(visit)
    return name, since_us, members, visit.typed("title", text("Title")), visit.typed("source", text("Source"))


def _purpose(visit: Visit) -> str | None:
    return visit.form.get("purpose") or None


def _members(visit: Visit) -> list[str]:
    """Read one member per line, each once; ConfigError if there are more than a form takes."""
    written = _typed(visit)
    if len(written.encode()) > MOST_BYTES:
        raise ConfigError(
            text("the members have more than {most:,} bytes; POST /v1/lists accepts longer lists", most=MOST_BYTES)
        )
    return list(dict.fromkeys(line.strip() for line in written.splitlines() if line.strip()))


def _typed(visit: Visit) -> str:
    """Return the content of the chosen file, or of the field."""
    return without_nul(visit.form.get("file", "").removeprefix("\ufeff") or visit.form.get("members", ""))
