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
    """The state when editing of a text began, or the state now.

    Attributes:
        revision: the revision of the draft; 0 for none.
        newest: the number of the version committed last; 0 for none.
    """

    revision: int = NO_DRAFT
    newest: int = 0

    def differs(self, present: "Beginning") -> bool:
        """Return whether another person saved or committed since; with a draft, its revision shows a commit."""
        return self.revision != present.revision or (self.revision == NO_DRAFT and self.newest != present.newest)


def beginning_at(line: AnyLine | None) -> Beginning:
    """Return the present state of a ruleset or a flow; *line*: None for a new one."""
    return Beginning() if line is None else Beginning(line.draft_revision or NO_DRAFT, line.newest or 0)


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """What another person saved or committed since editing of a text began.

    Attributes:
        lines: the lines that differ from the present draft, or else from the newest version.
        version: the newest version if the draft no longer exists; None if there is a draft, or no version either.
    """

    lines: tuple[LineChange, ...]
    version: AnyVersion | None = None


@dataclass(frozen=True, kw_only=True)
class DraftKind:
    """The use cases that read and write drafts of a kind.

    Attributes:
        word: the word with which a text names its ruleset or flow.
        place: the part of an address before the name.
        part: the part of an address that is the name.
        committed: the notice that a version was committed.
        line: reads the line with the newest version; NotFoundError if the name does not exist.
        is_form_open: whether a form beside the text has input that is not in the text.
        show_saved: shows the page of a saved draft, with the input beside the text.
        in_use: says that the name of a new one already exists.
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
        """Save the first draft of a name, which creates the ruleset or flow."""
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
        """Save the typed text; what another person saved meanwhile is replaced only on request."""
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
        """Return the draft's revision if its text is the same, as after a reload; None otherwise."""
        name = visit.parts[self.part]
        if self.line(visit, name).draft_revision is None:
            return None
        draft = self.draft(visit, name)
        return draft.revision if draft.document == document else None

    def after_saving(self, visit: Visit, revision: int) -> Redirect | Rendered:
        """Go to the saved draft; input beside the text that is not in it stays."""
        fields = {name: value for name, value in visit.form.items() if name != "over"}
        saved = replace(visit, form={**fields, "revision": str(revision)})
        if visit.form.get("accept_warnings", "").strip() or self.is_form_open(saved):
            return self.show_saved(saved)
        return Redirect(visit.path, "draft-saved")

    def discard(self, visit: Visit) -> Redirect:
        """Discard the draft that the person saw; the versions stay."""
        name = visit.parts[self.part]
        self.discard_draft(visit, name, began_with(visit).revision)
        return Redirect(address(self.place, name), "draft-discarded")

    def commit_draft(self, visit: Visit) -> Redirect:
        """Commit the saved draft as a version."""
        name = visit.parts[self.part]
        self.line(visit, name)
        document, revision = typed_document(visit), began_with(visit).revision
        if self.draft(visit, name).document != document:
            raise ConfigError(text("the text differs from the saved draft; save it first"))
        if self.is_form_open(visit):
            raise ConfigError(text("a form has input that is not in the text; write it there, or empty the form"))
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
    """Return what a text would replace that its author has not seen; None if nothing changed since editing began.

    Args:
        document: the text.
        began: the state then.
        line: its ruleset or flow now; None for a new one.
        saved: the present draft; None if there is none.
        newest: reads the version committed last.
    """
    if not began.differs(beginning_at(line)):
        return None
    version = newest() if saved is None else None
    theirs = version if saved is None else saved
    return Conflict(lines=line_changes("" if theirs is None else theirs.document, document), version=version)


def typed_text(visit: Visit) -> str:
    """Return the typed text to show it again; empty if it has only blanks."""
    typed = without_nul(visit.form.get("document", ""))
    return typed if typed.strip() else ""


def began_with(visit: Visit) -> Beginning:
    """Read from the form the revision and the newest version at the time when editing began."""
    revision = existing_number(visit.form.get("revision") or "0", text("revision"))
    return Beginning(revision, existing_number(visit.form.get("newest") or "0", text("version")))
