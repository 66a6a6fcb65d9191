"""The fields of a form, from a model of the language: its words, the values that they allow, and its help.

A word that is added to the language is in its form without further code.
"""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from typing_extensions import TypeAliasType

from fivefold.risk.language.base import LanguageModel, MayBeEmpty, NameOf
from fivefold.risk.language.documents import Path
from fivefold.risk.language.quantities import Duration

Shape = Literal["text", "value", "choice", "several", "list", "rows", "named"]
"""How a field is typed.

`text` as it is; `value` in one line of the language; `choice` is one of several, `several` any number of them; `list`
has commas between its items; `rows` has a line for each item, and `named` a line for each name with its value.
"""
_LONG: Final = 1_000
"""A text that may be longer than this has sentences."""
_NAME, _VALUE = "name", "value"


@dataclass(frozen=True, kw_only=True)
class FormField:
    """A field of a form.

    Attributes:
        path: where its value is in the part of the flow; for a column, in its row.
        help: its description in the language.
        is_needed: whether the part must have it.
        may_be_empty: it is needed, but may be empty; for `several`, to choose none differs from leaving the word out.
        usual: the value that holds if nothing is written; empty if the help names it.
        choices: the fixed choices, whatever the document is.
        offers: the kind of names in the document that it chooses from, such as `steps`; empty for none.
        columns: the columns of each row.
        items: the shape of each item of a list.
        is_prose: whether it has room for sentences.
        instead: the words, including its own, of which one is to be written; empty if it has no alternatives.
        is_inside: whether it is inside words that may be left out, and is labelled with them.
    """

    path: Path
    shape: Shape
    help: str = ""
    is_needed: bool = False
    may_be_empty: bool = False
    usual: str = ""
    choices: tuple[str, ...] = ()
    offers: str = ""
    columns: tuple["FormField", ...] = ()
    items: Shape = "text"
    is_prose: bool = False
    instead: tuple[str, ...] = ()
    is_inside: bool = False

    @property
    def name(self) -> str:
        """The name of the field in the page."""
        return "-".join(map(str, ("field", *self.path)))

    @property
    def label(self) -> str:
        """The word of the language, as a label."""
        words = self.path if self.is_inside else self.path[-1:]
        return " ".join(map(str, words)).replace("_", " ").capitalize()

    def cell(self, number: int, column: "FormField") -> str:
        """Return the name of a cell in its rows.

        >>> named = FormField(path=("calculate",), shape="named", columns=(FormField(path=("name",), shape="text"),))
        >>> named.cell(0, named.columns[0])
        'field-calculate-0-name'
        """
        return "-".join(map(str, (self.name, number, *column.path)))


@cache
def summary_of(form: type[LanguageModel]) -> str:
    """Return what a form of the language says it is, without the description of its words."""
    return _described(form)[0]


@cache
def fields_of(form: type[LanguageModel]) -> tuple[FormField, ...]:
    """Return the fields of a form of the language, and of the forms inside it.

    Needed fields come first, and the steps to which it leads last.

    >>> from fivefold.flows.actions import LimitAction
    >>> [field.label for field in fields_of(LimitAction) if field.is_needed]
    ['Id', 'Title', 'Limit', 'Amount', 'Between']
    """
    described = _described(form)[1]
    form_fields: list[FormField] = []
    for name, info in form.model_fields.items():
        word = info.alias or name
        kind, marks = _unwrapped(info.annotation, tuple(info.metadata))
        default = None if info.is_required() or info.default_factory is not None else info.default
        field = FormField(
            path=(word,),
            shape="text",
            help=described.get(name, ""),
            is_needed=info.is_required(),
            may_be_empty=not info.is_required() and info.default is None,
            usual=default if isinstance(default, str) else str(default).lower() if isinstance(default, bool) else "",
        )
        form_fields += _fields_of_word(field, kind, marks)
    return tuple(sorted(form_fields, key=lambda field: (_leads(field), not field.is_needed)))


def _leads(field: FormField) -> bool:
    return len(field.path) == 1 and field.offers == "steps"


def _fields_of_word(field: FormField, kind: Any, marks: tuple[Any, ...]) -> list[FormField]:
    """Make the fields of one word of the language; those of a form inside have its words before their own."""
    forms = _forms_of(kind)
    if forms:
        needed = tuple(str(next(each.path[0] for each in fields_of(form) if each.is_needed)) for form in forms[1:])
        words = (str(next((each.path[0] for each in fields_of(forms[0]) if each.is_needed), "")), *needed)
        alone = len(forms) == 1
        return [
            replace(
                each,
                path=(*field.path, *each.path),
                is_needed=alone and each.is_needed and field.is_needed,
                is_inside=alone and not field.is_needed,
                instead=() if alone or each.path[0] not in words else words,
            )
            for form in forms
            for each in fields_of(form)
        ]
    return [] if field.is_needed and _is_fixed(kind) else [_shaped(field, kind, marks)]


def _is_fixed(kind: Any) -> bool:
    """Return whether only one value is possible, such as the event of a trigger, and may not be left out."""
    return get_origin(kind) is Literal and len(get_args(kind)) == 1


def _forms_of(kind: Any) -> tuple[type[LanguageModel], ...]:
    """Return the forms of which the value is one; empty if it may be something else, or a list."""
    among = tuple(_unwrapped(each)[0] for each in _members(kind))
    return among if len(among) <= 3 and all(_is_form(each) for each in among) else ()


def _shaped(field: FormField, kind: Any, marks: tuple[Any, ...]) -> FormField:
    origin, inside = get_origin(kind), get_args(kind)
    offers = next((mark.of for mark in marks if isinstance(mark, NameOf)), "")
    if origin is tuple:
        return _of_items(field, inside)
    if origin is dict:
        columns = (
            _cell((_NAME,), *_unwrapped(inside[0])),
            _cell((_VALUE,), *_unwrapped(inside[1])),
        )
        may_be_empty = any(isinstance(mark, MayBeEmpty) for mark in marks)
        return replace(field, shape="named", columns=columns, may_be_empty=may_be_empty)
    if origin is Literal or kind is bool:
        return replace(field, shape="choice", choices=tuple(map(str, inside)) or ("true", "false"))
    if kind is Duration:
        return replace(field, help=_with_hint(field.help, "such as 2 days"))
    if kind is str:
        is_prose = any((getattr(mark, "max_length", None) or 0) >= _LONG for mark in marks)
        return replace(field, offers=offers, is_prose=is_prose)
    return replace(field, shape="value")


def _of_items(field: FormField, inside: tuple[Any, ...]) -> FormField:
    """Return the field with the shape of a list, by the kind of its first item."""
    kind, marks = _unwrapped(inside[0])
    if _is_form(kind):
        return replace(field, shape="rows", columns=tuple(_plain(each) for each in fields_of(kind)))
    offers = next((mark.of for mark in marks if isinstance(mark, NameOf)), "")
    if offers:
        return replace(field, shape="several", offers=offers)
    if get_origin(kind) is Literal:
        return replace(field, shape="several", choices=tuple(map(str, get_args(kind))))
    if _may_be_form(kind):
        return replace(field, shape="rows", columns=(FormField(path=(), shape="value", is_needed=True),))
    described = _with_hint(field.help, "with commas between them")
    return replace(field, shape="list", items="text" if kind is str else "value", help=described)


def _cell(path: Path, kind: Any, marks: tuple[Any, ...]) -> FormField:
    return _plain(_shaped(FormField(path=path, shape="text", is_needed=True), kind, marks))


def _plain(column: FormField) -> FormField:
    """Return a column: a value with rows of its own is typed in one line there."""
    return column if column.shape in {"text", "value", "choice"} else replace(column, shape="value", columns=())


def _with_hint(described: str, hint: str) -> str:
    return f"{described.rstrip('.')}; {hint}" if described else hint


def _is_form(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, LanguageModel)


def _may_be_form(kind: Any) -> bool:
    """Return whether the value may be a form of the language, among other things."""
    return _is_form(kind) or any(_may_be_form(_unwrapped(each)[0]) for each in _members(kind) if each is not kind)


def _members(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in {Union, UnionType} else (kind,)


def _unwrapped(kind: Any, marks: tuple[Any, ...] = ()) -> tuple[Any, tuple[Any, ...]]:
    """Remove names of types, marks and `None`; return what is left, and the marks."""
    while True:
        if isinstance(kind, TypeAliasType):
            kind = kind.__value__
        elif get_origin(kind) is Annotated:
            kind, *more = get_args(kind)
            marks = (*marks, *more)
        else:
            members = tuple(each for each in _members(kind) if each is not NoneType)
            if len(members) != 1 or members[0] is kind:
                return kind, marks
            kind = members[0]


def _described(form: type[Any]) -> tuple[str, Mapping[str, str]]:
    """Return the descriptions of a form, and of its words and those of the forms that it extends."""
    words: dict[str, str] = {}
    for each in reversed(form.__mro__):
        if _is_form(each):
            words |= _words_described(inspect.cleandoc(each.__doc__ or ""))
    summary = inspect.cleandoc(form.__doc__ or "").partition("\n\nAttributes:\n")[0]
    return " ".join(summary.split()), words


def _words_described(docstring: str) -> dict[str, str]:
    listed = docstring.partition("Attributes:\n")[2]
    descriptions = re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", listed, re.MULTILINE)
    return {word: " ".join(text.split()) for word, text in descriptions}
