"""The forms beside a ruleset's text: which of them have something that is not written into the text yet."""

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from hashlib import sha256
from typing import Final

from fivefold.usecases.rulesets.text_forms import Outline, TierForm

MOST_TIERS: Final = 10
"""For which the editor has a form: it may have so many fields."""
_TYPED: Final = {
    "rule": ("rule_value", "rule_points", "rule_id", "rule_title", "rule_rationale", "rule_floor"),
    "case": ("case_value", "case_points", "case_floor"),
}
"""The fields of forms that begin empty."""


@dataclass(frozen=True, kw_only=True)
class FormParts:
    """The forms as they are shown again, each by its word in the field `write`.

    Attributes:
        states: the state in which a form that begins with what the text says was shown; its page sends it along.
        unwritten: the forms with something that stands in no text yet.
    """

    form: Mapping[str, str]
    states: Mapping[str, str]
    unwritten: frozenset[str]
    just_written: str

    def value(self, part: str, name: str, standing: str = "") -> str:
        """Give what stands in a field: what was typed, or else what the text says."""
        is_kept = part in self.unwritten or (part in _TYPED and part != self.just_written)
        return self.form.get(name, standing) if is_kept else standing


def form_parts(form: Mapping[str, str], outline: Outline, just_written: str = "") -> FormParts:
    """Tell what of the forms is not written; *just_written*: the one that wrote into the text, as its button says."""
    states = {part: _state(values) for part, values in _standing(outline).items()}
    unwritten = {part for part, names in _TYPED.items() if any(form.get(name, "").strip() for name in names)}
    for part, values in _typed_over(form).items():
        if (values or f"seen_{part}" in form) and _state(values) != form.get(f"seen_{part}", states[part]):
            unwritten.add(part)
    return FormParts(
        form=form, states=states, unwritten=frozenset(unwritten - {just_written}), just_written=just_written
    )


def tiers_typed(form: Mapping[str, str]) -> list[TierForm]:
    """Read the rows of tiers that have anything in them."""
    rows = []
    for number in range(MOST_TIERS + 1):
        words = [form.get(f"tier_{number}_{word}", "").strip() for word in ("title", "least", "most", "level")]
        if any(words):
            rows.append(TierForm(title=words[0], least=words[1], most=words[2], level=words[3]))
    return rows


def _standing(outline: Outline) -> dict[str, list[str]]:
    """Give what the text says in the forms that begin with that."""
    return {
        "thresholds": [] if outline.thresholds is None else [outline.thresholds],
        "tiers": [word for tier in outline.tiers for word in astuple(tier)],
        "weights": [lines for _, lines in sorted(outline.weights.items())],
    }


def _typed_over(form: Mapping[str, str]) -> dict[str, list[str]]:
    """Give what stands in these forms now."""
    return {
        "thresholds": [form["thresholds"]] if "thresholds" in form else [],
        "tiers": [word for tier in tiers_typed(form) for word in astuple(tier)],
        "weights": [lines for name, lines in sorted(form.items()) if name.startswith("weights_")],
    }


def _state(values: Iterable[str]) -> str:
    lines = "\0".join("\n".join(value.split()) for value in values)
    return sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()[:16]
