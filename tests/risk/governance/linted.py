"""Clean rulesets for lint, and the list that they name."""

from pathlib import Path

from fivefold.risk.facts.portfolio import NamedList, read_list

HERE = Path(__file__).parent
LISTS: dict[str, NamedList] = {
    "grey": read_list("{list: grey, title: Grey, source: us, versions: [{since: 2024-01-01, members: [IR, KP, ZA]}]}")
}


def clean(name: str) -> str:
    """Give the text of a ruleset in which there is nothing to find."""
    return (HERE / f"{name}.yaml").read_text(encoding="utf-8")


def changed(name: str, before: str, after: str) -> str:
    """Give the same with one change."""
    text = clean(name)
    assert before in text
    return text.replace(before, after, 1)
