"""The counts of a replay: where runs end, what they would do, and what that changes; added up part by part."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from fivefold.flows.language import OutsideStep, RouteStep, TableStep
from fivefold.flows.run import Runs
from fivefold.flows.steps import Stop
from fivefold.flows.trace import STATUSES
from fivefold.usecases.flows.runs.outcomes import actions_text

MOST_EXPLAINED = 200
"""The most failures of each step that are explained: that takes far longer than to run them."""

ROW = {"entity": pl.Int64, "cause": pl.String, "state": pl.String, "at": pl.String, "actions": pl.String}
"""The columns of `ends_of`."""


def ends_of(runs: Runs, keys: Mapping[int, str], base: str) -> pl.DataFrame:
    """Return where each run ended, and what it would do, with the amounts of limits in the *base* currency.

    *keys*: the cause of each entity.
    """
    table, amounts = runs.table, [name for name in runs.table.columns if name.endswith("_minor")]
    combinations = table.select("actions", *amounts).unique()
    words = [_words(row, base) for row in combinations.iter_rows(named=True)]
    combination_texts = combinations.with_columns(pl.Series("words", words, dtype=pl.String))
    joined = table.join(
        combination_texts, on=["actions", *amounts], how="left", nulls_equal=True, maintain_order="left"
    )
    entities = joined["entity_id"].cast(pl.Int64)
    return pl.DataFrame(
        {
            "entity": entities,
            "cause": pl.Series([keys[each] for each in entities], dtype=pl.String),
            "state": joined["status"],
            "at": joined["at"],
            "actions": joined["words"],
        },
        schema=ROW,
    )


def _words(row: Mapping[str, Any], base: str) -> str:
    actions = row["actions"].split(", ") if row["actions"] else ()
    return actions_text(((action, row.get(f"{action}_minor")) for action in actions), base)


@dataclass(kw_only=True)
class ReplayTally:
    """The findings so far.

    Attributes:
        after_id: the last entity that was replayed.
        entities: those replayed, some of them perhaps without a cause.
        causes: causes by kind; empty if everybody is replayed.
        ends: runs by their state and step; `base_ends` for the version that it is compared with.
        actions: runs that would take each action; `base_actions` the same of that version.
        moves: runs by state and step before, and state and step after; a version that would not run has empty ones.
        answered: runs that went on by an answer that was kept, by step.
        failures: runs that failed, by step and why; of each step the first `MOST_EXPLAINED`.
        different: runs that came to another end, or would do something else.
        people: entities with such a run.
        unknown_origin: by kind, causes of which it is unknown whether the flow itself brought them about.
        unknown_members: by group, entities whose membership or moves are not known for all of the time.
    """

    after_id: int = 0
    entities: int = 0
    people: int = 0
    different: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    ends: Counter[tuple[str, str]] = field(default_factory=Counter)
    base_ends: Counter[tuple[str, str]] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    base_actions: Counter[str] = field(default_factory=Counter)
    moves: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    unknown_origin: Counter[str] = field(default_factory=Counter)
    unknown_members: Counter[str] = field(default_factory=Counter)

    def add(self, both: pl.DataFrame, *, has_base: bool) -> pl.DataFrame:
        """Count runs: `state`, `at`, `actions`, and the same with `_before`; empty texts where a version does not run.

        Returns the rows that differ; without a base those in which something would be done, or a person asked.
        """
        self.ends.update(_counted(both, "state", "at"))
        self.actions.update(_count_actions(both["actions"]))
        if not has_base:
            affected = both.filter((pl.col("actions") != "") | pl.col("state").is_in(["waits", "asks"]))
        else:
            self.base_ends.update(_counted(both, "state_before", "at_before"))
            self.base_actions.update(_count_actions(both["actions_before"]))
            self.moves.update(_counted(both, "state_before", "at_before", "state", "at"))
            same = [pl.col(f"{name}_before") == pl.col(name) for name in ("state", "at", "actions")]
            affected = both.filter(~pl.all_horizontal(same))
        self.different += len(affected)
        self.people += affected["entity"].n_unique()
        return affected

    def add_failures(self, runs: Runs) -> None:
        """Count why runs failed; the reasons name facts, not values, as they stay when a customer is erased."""
        table = runs.table
        explained: Counter[str] = Counter()
        for (step, _), count in self.failures.items():
            explained[step] += count
        for position in (table["status"] == STATUSES[Stop.FAILED]).arg_true():
            step = table["at"][position]
            if explained[step] < MOST_EXPLAINED:
                explained[step] += 1
                self.failures[step, _why_failed(runs, position)] += 1

    def as_json(self) -> dict[str, Any]:
        """Return the tally as plain data, in a fixed order."""
        return {
            "after_id": self.after_id,
            "entities": self.entities,
            "people": self.people,
            "different": self.different,
            **{name: sorted([key, count] for key, count in getattr(self, name).items()) for name in _NAMED},
            **{name: sorted([*key, count] for key, count in getattr(self, name).items()) for name in _PLACES},
        }

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> "ReplayTally":
        """Read a tally back from `as_json`."""
        numbers = {name: content[name] for name in ("after_id", "entities", "people", "different")}
        named: dict[str, Any] = {name: Counter(dict(content.get(name, ()))) for name in _NAMED}
        places: dict[str, Any] = {
            name: Counter({tuple(row[:-1]): row[-1] for row in content.get(name, ())}) for name in _PLACES
        }
        return cls(**numbers, **named, **places)


_NAMED = ("causes", "actions", "base_actions", "answered", "unknown_origin", "unknown_members")
_PLACES = ("ends", "base_ends", "moves", "failures")


def _why_failed(runs: Runs, position: int) -> str:
    why = runs.explain(position).steps[-1]
    step = runs.program.flow.steps[runs.program.flow.positions[why.step]]
    if isinstance(step, OutsideStep):
        return "nothing that can be used came back"
    if isinstance(step, RouteStep | TableStep):
        return f"{why.outcome}: {', '.join(why.missing)} unknown"
    return why.outcome


def _counted(rows: pl.DataFrame, *names: str) -> dict[Any, int]:
    """Count rows by some columns; by state and step, without those of a version that does not run."""
    counts = {tuple(row[:-1]): row[-1] for row in rows.group_by(*names).len().iter_rows()}
    return {key: count for key, count in counts.items() if len(key) > len(("state", "at")) or any(key)}


def _count_actions(actions: pl.Series) -> dict[str, int]:
    """Count the runs that take each action; its name leaves out the amounts."""
    counts: Counter[str] = Counter()
    for words, count in actions.value_counts().iter_rows():
        for each in {one.split(" ")[0] for one in words.split(", ")} - {""}:
            counts[each] += count
    return dict(counts)
