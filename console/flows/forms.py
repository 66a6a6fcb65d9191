"""The form of a trigger, an action or a step in the editor of a flow, with what is wrong at each of its fields."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fivefold.console.texts import text
from fivefold.console.visit import Visit, without_nul
from fivefold.usecases.flows.forms.fields import FormField, summary_of
from fivefold.usecases.flows.forms.forms import FormChecked, PartForm, check_form
from fivefold.usecases.flows.forms.places import KINDS, FlowOutline, outline_of
from fivefold.usecases.flows.forms.typed import SPARE_ROWS, rows_typed

_FIELD: Final = "field-"


@dataclass(frozen=True, kw_only=True)
class FormInput:
    """One thing to type or to choose.

    Attributes:
        options: names and titles, where there are some to choose from; what is typed may be none of them.
    """

    name: str
    field: FormField
    value: str
    options: tuple[tuple[str, str], ...] = ()

    @property
    def is_chosen(self) -> bool:
        """Whether it is one of the options, rather than something that they suggest."""
        return self.field.shape == "choice" or self.field.offers in {"steps", "actions", "levels"}


@dataclass(frozen=True, kw_only=True)
class FieldShown:
    """A field: one cell, rows of cells, or options to be ticked.

    Attributes:
        ticks: name, title, and whether it is ticked.
    """

    field: FormField
    cell: FormInput | None = None
    rows: tuple[tuple[FormInput, ...], ...] = ()
    ticks: tuple[tuple[str, str, bool], ...] = ()


@dataclass(frozen=True, kw_only=True)
class FormShown:
    """A form that is open.

    Attributes:
        summary: what the language says of its kind.
        checked: what was found.
    """

    form: PartForm
    summary: str
    fields: tuple[FieldShown, ...]
    checked: FormChecked

    @property
    def cells(self) -> tuple[str, ...]:
        """The names of all that findings can stand at."""
        return tuple(
            name
            for shown in self.fields
            for name in (shown.field.name, *(cell.name for row in shown.rows for cell in row))
        )


def form_shown(document: str, form: PartForm, checked: FormChecked | None = None) -> FormShown:
    """Lay out a form with what stands in it."""
    outline = outline_of(document)
    return FormShown(
        form=form,
        summary=summary_of(KINDS[form.part][form.kind]),
        fields=tuple(_field_shown(outline, form, field) for field in form.fields),
        checked=FormChecked() if checked is None else checked,
    )


def typed_form(visit: Visit) -> PartForm | None:
    """Read the form that came with a page; None where none did."""
    part, kind = visit.form.get("form_part", ""), visit.form.get("form_kind", "")
    if part not in KINDS or kind not in KINDS[part]:
        return None
    typed = {name: without_nul(value).strip() for name, value in visit.form.items() if name.startswith(_FIELD)}
    name, after, opened = (visit.form.get(f"form_{word}", "") for word in ("name", "after", "opened"))
    return PartForm(part=part, kind=kind, name=name, after=after, opened=opened, typed=typed)


def checked_form(visit: Visit, document: str, form: PartForm, *, is_typing: bool = False) -> FormShown:
    """Lay out a form with what was found at each of its fields; nothing is stored."""
    return form_shown(document, form, check_form(visit, document, form, is_typing=is_typing))


def _field_shown(outline: FlowOutline, form: PartForm, field: FormField) -> FieldShown:
    if field.shape == "several":
        return FieldShown(field=field, ticks=_ticks(outline, form, field))
    if not field.columns:
        return FieldShown(field=field, cell=_cell(outline, form, field, field.name))
    there = rows_typed(field, form.typed)
    spare = SPARE_ROWS if there or not field.is_needed else 2 * SPARE_ROWS
    rows = tuple(
        tuple(_cell(outline, form, column, field.cell(number, column)) for column in field.columns)
        for number in range(there + spare)
    )
    return FieldShown(field=field, rows=rows)


def _cell(outline: FlowOutline, form: PartForm, field: FormField, name: str) -> FormInput:
    value = form.typed.get(name, "")
    options = _options(outline, form, field)
    cell = FormInput(name=name, field=field, value=value, options=options)
    if value and cell.is_chosen and value not in {option for option, _ in options}:
        return FormInput(name=name, field=field, value=value, options=(*options, (value, value)))
    return cell


def _options(outline: FlowOutline, form: PartForm, field: FormField) -> tuple[tuple[str, str], ...]:
    if field.choices:
        words = {"true": text("yes"), "false": text("no")}
        return tuple((choice, words.get(choice, choice)) for choice in field.choices)
    return outline.names(field.offers, form.name or form.after or None) if field.offers else ()


def _ticks(outline: FlowOutline, form: PartForm, field: FormField) -> tuple[tuple[str, str, bool], ...]:
    options: Mapping[str, str] = dict(_options(outline, form, field))
    start = f"{field.name}-"
    ticked = [name.removeprefix(start) for name, value in form.typed.items() if name.startswith(start) and value]
    everything = {**options, **{name: name for name in ticked if name not in options}}
    return tuple((start + name, title or name, name in ticked) for name, title in everything.items())
