"""The prompts: the three usual questions, each with the tools that answer it."""

from collections.abc import Mapping
from dataclasses import dataclass

from fivefold.serving.mcp.reading import READING
from fivefold.usecases.shared.actors import Role

_BY_NAME = {tool.name: tool for tool in READING}
_CARE = (
    "Use only what the tools answer, and name the number of the assessment. Say what is not known. Do not write"
    " anything for the customer: what is known of risk is not for them."
)
_DEFAULTS = {"type": "customer", "days": "30"}


@dataclass(frozen=True)
class Prompt:
    """A question.

    Attributes:
        arguments: by name, what each is; those of `required` must be given.
        tools: that answer it: it is there for roles that may call all of them.
        text: with the names of its arguments in braces.
    """

    name: str
    title: str
    description: str
    arguments: Mapping[str, str]
    required: frozenset[str]
    tools: tuple[str, ...]
    text: str

    def filled(self, arguments: Mapping[str, str]) -> str:
        """Write the question; KeyError where a required argument is missing."""
        values = {name: arguments.get(name) or _DEFAULTS.get(name) for name in self.arguments}
        missing = sorted(name for name in self.required if not values[name])
        if missing:
            raise KeyError(", ".join(missing))
        return self.text.format(**values)

    def entity(self, arguments: Mapping[str, str]) -> tuple[str, str] | None:
        """Give the type and the identifier of whom the question is about; None where it is about nobody alone."""
        if "external_id" not in self.arguments:
            return None
        return arguments.get("type") or _DEFAULTS["type"], arguments["external_id"]


_OF_ONE = {"external_id": "Your own identifier of the customer.", "type": "The type of entity; customer by default."}

PROMPTS = (
    Prompt(
        "why_this_level",
        "Why does this customer have this level?",
        "Explain a level by its reasons and its history.",
        _OF_ONE,
        frozenset({"external_id"}),
        ("read_level", "read_level_history"),
        "Why does the {type} {external_id} have its risk level? Call read_level, then read_level_history. Begin with"
        " one sentence: level, since when, the arithmetic. Then the reasons, the one with most points first, and what"
        " changed when the level was reached. " + _CARE,
    ),
    Prompt(
        "what_would_change_it",
        "What would change this level?",
        "Find the smallest changes that would move a level.",
        _OF_ONE,
        frozenset({"external_id"}),
        ("read_level", "what_would_change_level"),
        "What would change the risk level of the {type} {external_id}? Call read_level, then what_would_change_level"
        " with direction down, and with direction up. Begin with one sentence. Then list the changes, those of one"
        " factor first, and from when each would hold. " + _CARE,
    ),
    Prompt(
        "what_changed_in_the_portfolio",
        "What changed in the portfolio?",
        "Summarise moves between levels, and name those who moved last.",
        {"days": "How many days to look back; 30 by default.", "type": "The type of entity; customer by default."},
        frozenset(),
        ("portfolio_changes", "portfolio_levels"),
        "What changed among all of type {type} in the last {days} days? Call portfolio_changes for that time, then"
        " portfolio_levels. Begin with one sentence: how many rose and fell. Then who rose to the highest level, each"
        " with the reason that the tool gives. " + _CARE,
    ),
)


def prompts_of(role: Role) -> list[Prompt]:
    """List the questions of a role; the tools that answer them read."""
    return [prompt for prompt in PROMPTS if all(role in _BY_NAME[name].roles for name in prompt.tools)]
