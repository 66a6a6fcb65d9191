"""Drafts of rulesets and of flows as their editors save, discard and commit them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from fivefold.console.rulesets.text import LineChange, line_changes, refused_shortly, typed_document
from fivefold.console.texts import text
from fivefold.console.visit import Redirect, Rendered, Visit, address, existing_number, without_nul
from fivefold.domain.errors import ConfigError, ConflictError, InvalidRulesetError, NotFoundError
from fivefold.usecases.flows.drafts import FlowDraftSaved
from fivefold.usecases.flows.read import FlowDraftShown, FlowLine, FlowVersionView
from fivefold.usecases.rulesets.drafts import DraftSaved
from fivefold.usecases.rulesets.life_cycle import NO_DRAFT, names_in
from fivefold.usecases.rulesets.read import DraftShown, RulesetLine, VersionView

AnyLine = RulesetLine | FlowLine
AnyVersion = VersionView | FlowVersionView
SavedDraft = DraftSaved | FlowDraftSaved


@dataclass(frozen=True)
class Beginning:
    """What there was when a text was begun, or what there is now.

    Attributes:
        revision: of the draft; 0 for none.
        newest: the number of the version that was committed last; 0 for none.
    """

    revision: int = NO_DRAFT
    newest: int = 0

    def differs(self, present: "Beginning") -> bool:
        """Tell whether another person saved or committed since; who had a draft sees a commit by its revision."""
        return self.revision != present.revision or (self.revision == NO_DRAFT and self.newest != present.newest)


def beginning_at(line: AnyLine | None) -> Beginning:
    """Give what there is now of a ruleset or a flow; *line*: None where it is a new one."""
    return Beginning() if line is None else Beginning(line.draft_revision or NO_DRAFT, line.newest or 0)


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """What another person saved or committed since a text was begun.

    Attributes:
        lines: in which it differs from the draft as it is now, or else from the newest version.
        version: the newest, where the draft has gone; None where there is a draft, or no version either.
    """

    lines: tuple[LineChange, ...]
    version: AnyVersion | None = None


@dataclass(frozen=True, kw_only=True)
class DraftKind:
    """What drafts of a kind are read and written by: use cases.

    Attributes:
        word: with which a text says what it is of.
        place: of the kind in an address, before the name.
        part: of an address that is the name.
        committed: the notice that a version was made.
        line: with the newest version; NotFoundError where there is nothing of that name.
        is_form_open: a form beside the text has something that is not written into it.
        show_saved: the page of a draft that was saved, with what was typed beside it.
        in_use: says that a new one has the name of another.
    """

    word: str
    place: str
    part: str
    committed: str
    line: Callable[[Visit, str], AnyLine]
    draft: Callable[[Visit, str], Any]
    refuse_other_name: Callable[[Visit, str, str], None]
    save_draft: Callable[[Visit, str, int, int], SavedDraft]
    discard_draft: Callable[[Visit, str, int], object]
    commit: Callable[[Visit, str, int, str], Any]
    is_form_open: Callable[[Visit], bool]
    show_saved: Callable[[Visit], Rendered]
    in_use: Callable[[str], str]

    def save_new(self, visit: Visit) -> Redirect | Rendered:
        """Save the first draft of a name, which makes what it is of."""
        document = typed_document(visit)
        name = names_in(document, self.word)[0]
        there = replace(visit, path=address(self.place, name, "edit"), parts={self.part: name})
        try:
            revision = self.revision_of(there, document)
        except NotFoundError:
            revision = self.save_draft(visit, document, NO_DRAFT, 0).revision
        if revision is None:
            raise ConflictError(self.in_use(name))
        return self.after_saving(there, revision)

    def save(self, visit: Visit) -> Redirect | Rendered:
        """Save what was typed; what another person saved meanwhile is replaced only where that is wanted."""
        name = visit.parts[self.part]
        self.line(visit, name)
        document = typed_document(visit)
        self.refuse_other_name(visit, document, name)
        if (revision := self.revision_of(visit, document)) is not None:
            return self.after_saving(visit, revision)
        began = began_with(visit)
        if over := visit.form.get("over", ""):
            began = Beginning(existing_number(over, text("revision")), visit.shown_number("newest"))
        return self.after_saving(visit, self.save_draft(visit, document, began.revision, began.newest).revision)

    def revision_of(self, visit: Visit, document: str) -> int | None:
        """Return the draft's revision if it says just this, as after a reload; None otherwise."""
        name = visit.parts[self.part]
        if self.line(visit, name).draft_revision is None:
            return None
        draft = self.draft(visit, name)
        return draft.revision if draft.document == document else None

    def after_saving(self, visit: Visit, revision: int) -> Redirect | Rendered:
        """Go to the draft as it is saved now; what was typed beside it and is not in it stays."""
        fields = {name: value for name, value in visit.form.items() if name != "over"}
        saved = replace(visit, form={**fields, "revision": str(revision)})
        if visit.form.get("accept_warnings", "").strip() or self.is_form_open(saved):
            return self.show_saved(saved)
        return Redirect(visit.path, "draft-saved")

    def discard(self, visit: Visit) -> Redirect:
        """Take the draft away that the person saw; the versions stay."""
        name = visit.parts[self.part]
        self.discard_draft(visit, name, began_with(visit).revision)
        return Redirect(address(self.place, name), "draft-discarded")

    def commit_draft(self, visit: Visit) -> Redirect:
        """Make a version of the draft as it is saved."""
        name = visit.parts[self.part]
        self.line(visit, name)
        document, revision = typed_document(visit), began_with(visit).revision
        if self.draft(visit, name).document != document:
            raise ConfigError(text("the text is not the draft that is saved; save it first"))
        if self.is_form_open(visit):
            raise ConfigError(
                text("a form has something that is not written into the text; write it there, or empty it")
            )
        try:
            committed = self.commit(visit, name, revision, visit.form.get("accept_warnings", "").strip())
        except InvalidRulesetError as wrong:
            raise refused_shortly(wrong, text("say why it is committed with them")) from wrong
        return Redirect(address(self.place, name, "versions", str(committed.number)), self.committed)


def conflict_with(
    document: str,
    began: Beginning,
    line: AnyLine | None,
    saved: DraftShown | FlowDraftShown | None,
    newest: Callable[[], AnyVersion | None],
) -> Conflict | None:
    """Tell what a text would replace that its author has not seen; None where all is as it was when it was begun.

    Args:
        document: the text.
        began: what there was then.
        line: what it is of, as it is now; None for a new one.
        saved: the draft as it is now; None where there is none.
        newest: reads the version that was committed last.
    """
    if not began.differs(beginning_at(line)):
        return None
    version = newest() if saved is None else None
    theirs = version if saved is None else saved
    return Conflict(lines=line_changes("" if theirs is None else theirs.document, document), version=version)


def typed_text(visit: Visit) -> str:
    """Give the text as it was typed, to be shown again; empty where it has blanks alone."""
    typed = without_nul(visit.form.get("document", ""))
    return typed if typed.strip() else ""


def began_with(visit: Visit) -> Beginning:
    """Read from the form the revision and the newest version at the time when the text was begun."""
    revision = existing_number(visit.form.get("revision") or "0", text("revision"))
    return Beginning(revision, existing_number(visit.form.get("newest") or "0", text("version")))
