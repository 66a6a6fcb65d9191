"""Forms that write the parts of a flow into its text, and the faults at each of their fields."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from fivefold.domain.errors import ConfigError, Finding, InvalidRulesetError
from fivefold.flows.actions import MOST_ACTIONS
from fivefold.flows.language import MOST_STEPS
from fivefold.flows.triggers import MOST_TRIGGERS
from fivefold.risk.language.documents import Document, Path
from fivefold.usecases.flows.forms.fields import FormField, fields_of
from fivefold.usecases.flows.forms.places import (
    FLOW,
    KINDS,
    LISTS,
    ONE_OF,
    begun,
    hash_of,
    kind_of,
    outline_of,
    part_of,
    path_of,
    place_of,
    read_text,
    with_added,
    with_changed,
)
from fivefold.usecases.flows.forms.rewrite import index_of
from fivefold.usecases.flows.forms.typed import FieldFault, FormRefusedError, Typed, Written, typed_of, written
from fivefold.usecases.flows.review import check_flow
from fivefold.usecases.shared.context import Context

_MOST: Final = {"triggers": MOST_TRIGGERS, "actions": MOST_ACTIONS, "steps": MOST_STEPS}
_ID: Final = "field-id"


@dataclass(frozen=True, kw_only=True)
class PartForm:
    """The form of a trigger, an action, a step or an example, or of the flow itself.

    Attributes:
        part: the word of the list that has it; `flow` for the flow itself.
        kind: the word that says what it is.
        name: its name in the text; empty for a new one.
        after: the name of the part before a new one; empty for the first place.
        opened: a hash of the part as it was when the form was opened; empty for a new one.
        typed: the contents of its fields.
    """

    part: str
    kind: str
    name: str = ""
    after: str = ""
    opened: str = ""
    typed: Typed = field(default_factory=dict)

    @property
    def fields(self) -> tuple[FormField, ...]:
        """The fields, without the id of an existing part, as other parts name it."""
        fields = fields_of(KINDS[self.part][self.kind])
        if self.part == FLOW:
            return tuple(each for each in fields if each.path[0] not in LISTS)
        return tuple(each for each in fields if not (self.name and each.name == _ID))


@dataclass(frozen=True, kw_only=True)
class FormChecked:
    """The findings about a form; nothing of it is stored.

    Attributes:
        at: faults and doubts, by the name of the field or the cell.
        whole: findings about the part as a whole.
        elsewhere: faults that the text would have in other places.
    """

    at: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)
    whole: tuple[Finding, ...] = ()
    elsewhere: tuple[Finding, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings about the form."""
        return tuple(each for findings in (*self.at.values(), self.whole) for each in findings)

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings about the form that make the text unusable."""
        return tuple(each for each in self.findings if each.fatal)


def new_form(part: str, kind: str, after: str) -> PartForm:
    """Begin the form of a new part; ConfigError for an unknown kind."""
    if part not in LISTS or kind not in LISTS[part]:
        raise ConfigError(f"{kind[:40]!r} is not a kind of {ONE_OF.get(part, 'part')} with a form")
    return PartForm(part=part, kind=kind, after=after)


def form_of(text: str, part: str, name: str) -> PartForm:
    """Read the form of a part; ConfigError if there is no such part, or it cannot be read."""
    if part not in KINDS:
        raise ConfigError(f"{part[:40]!r} is not a part of a flow that has forms")
    data = part_of(text, part, name)
    kind = kind_of(part, data)
    if not kind:
        raise ConfigError(f"the {ONE_OF[part]} {name} is of no kind that there is; change it in the text")
    form = PartForm(part=part, kind=kind, name=name, opened=hash_of(data))
    return replace(form, typed=typed_of(form.fields, data))


def with_form(text: str, form: PartForm) -> str:
    """Write the content of a form into the text.

    Raises:
        FormRefusedError: something is empty, or cannot be read; each is named.
        InvalidRulesetError: the text is neither YAML nor JSON.
        ConfigError: there are too many already, the part is missing, or it changed since the form was opened.
    """
    _check_place(text, form)
    written_part = _write_part(text, form)
    if written_part.faults:
        raise FormRefusedError(written_part.faults)
    most = _MOST.get(form.part)
    if not form.name and most is not None and len(outline_of(text).parts[form.part]) >= most:
        raise ConfigError(f"a flow has at most {most} {form.part}")
    return _written(text, form, written_part)


def in_its_place(text: str, form: PartForm) -> PartForm:
    """Return the form of the part that a form wrote into the text."""
    if form.name:
        return form_of(text, form.part, form.name)
    return form_of(text, form.part, outline_of(text).parts[form.part][_new_place(text, form)].name)


def check_form(context: Context, text: str, form: PartForm, *, is_typing: bool) -> FormChecked:
    """Find faults and doubts at each field of a form, as the text would be with it; nothing is stored.

    An empty field is not a fault as long as a person *is_typing*.
    """
    try:
        _check_place(text, form)
    except (InvalidRulesetError, ConfigError) as wrong:
        return FormChecked(whole=(Finding(ONE_OF[form.part], str(wrong)),))
    written_part = _write_part(text, form)
    at: dict[str, tuple[Finding, ...]] = {}
    for fault in written_part.faults:
        if not (is_typing and fault.is_empty):
            at[fault.name] = (*at.get(fault.name, ()), Finding(fault.label, fault.problem))
    try:
        candidate = _written(text, form, written_part)
        read = read_text(candidate)
    except (InvalidRulesetError, ConfigError) as wrong:
        return FormChecked(at=at, whole=() if written_part.faults else (Finding(ONE_OF[form.part], str(wrong)),))
    at_fields, whole, elsewhere = _placed(check_flow(context, candidate).findings, candidate, read, form, written_part)
    for name, problems in at_fields.items():
        at.setdefault(name, problems)
    if written_part.faults:
        return FormChecked(at=at)
    return FormChecked(at=at, whole=whole, elsewhere=elsewhere)


_Placed = tuple[dict[str, tuple[Finding, ...]], tuple[Finding, ...], tuple[Finding, ...]]


def _placed(findings: tuple[Finding, ...], text: str, read: Document, form: PartForm, written_part: Written) -> _Placed:
    """Sort findings into those at each field, those about the whole part, and faults elsewhere in the text."""
    path = path_of(text, form.part, form.name) if form.name else (form.part, _new_place(text, form))
    spans, around = _spans(text, read, path, form, written_part), read.span(path)
    at: dict[str, tuple[Finding, ...]] = {}
    whole: dict[Finding, None] = {}
    elsewhere = []
    for finding in findings:
        index = -1
        if finding.line is not None and finding.column is not None:
            index = index_of(text, finding.line, finding.column)
        name = next(
            (name for begin, end, key, name in spans if begin <= index <= end and _is_about(finding, key)), None
        )
        if form.part == FLOW and finding.where in {*LISTS, *(str(each.path[0]) for each in form.fields)}:
            # A missing word has no place of its own: its finding is placed where the flow begins.
            name = None if finding.where in LISTS else f"field-{finding.where}"
        if name is not None:
            at[name] = (*at.get(name, ()), finding)
        elif path and around is not None and around[0] <= index < around[1]:
            whole[finding] = None
        elif finding.fatal:
            elsewhere.append(finding)
    return at, tuple(whole), tuple(elsewhere)


def _check_place(text: str, form: PartForm) -> None:
    """Refuse a form whose part, or the part before it, is not in the text as it was when the form was opened."""
    read_text(text)
    one, name = ONE_OF[form.part], form.name or form.after
    if name and name not in {each.name for each in outline_of(text).parts[form.part]}:
        happened = f"there is no {one} {name} in the text any more: it was renamed, or taken out"
    elif form.name and hash_of(part_of(text, form.part, form.name)) != form.opened:
        happened = f"the {one} {name} was changed in the text, or has another place, after this form was opened"
    else:
        return
    raise ConfigError(f"{happened}. Nothing of the form is written; open a form anew, and type it there")


def _write_part(text: str, form: PartForm) -> Written:
    before = part_of(text, form.part, form.name) if form.name else begun(form.part, form.kind)
    written_part = written(form.fields, form.typed, before)
    there = {each.name for each in outline_of(text).parts[form.part]}
    if not form.name and written_part.data.get("id") in there:
        problem = f"is {written_part.data['id']!r}, which another {ONE_OF[form.part]} has; each needs a name of its own"
        return replace(written_part, faults=(FieldFault(name=_ID, label="Id", problem=problem), *written_part.faults))
    return written_part


def _written(text: str, form: PartForm, written_part: Written) -> str:
    if form.name:
        return with_changed(text, form.part, form.name, written_part.data)
    return with_added(text, form.part, written_part.data, form.after or None)


def _new_place(text: str, form: PartForm) -> int:
    return place_of(text, form.part, form.after) + 1 if form.after else 0


def _is_about(finding: Finding, key: str) -> bool:
    """Return whether a finding is about a name, if one is given: a name and its content begin at the same place."""
    return not key or finding.problem.startswith(f"is {key!r}")


def _spans(
    text: str, read: Document, before: Path, form: PartForm, written_part: Written
) -> list[tuple[int, int, str, str]]:
    """Return where each field and cell begins and ends, the shortest first; for names, their text too."""
    spans = []
    named = tuple(f"{each.name}-" for each in form.fields if each.shape == "named")
    for name, path in written_part.places.items():
        span = read.span((*before, *path))
        nearest_path, line, column = read.position((*before, *path))
        if span is not None and nearest_path == (*before, *path) and line is not None and column is not None:
            key = str(path[-1]) if name.startswith(named) and name.endswith("-name") else ""
            spans.append((index_of(text, line, column), span[1], key, name))
    return sorted(spans, key=lambda each: (each[1] - each[0], not each[2]))
