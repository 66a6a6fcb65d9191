"""The contents of proposals: each a form of its own, written as JSON with its kind; and who sees and decides a kind.

`subject` names the change in words, and an entity by its number, as it is stored; `named_subject` shows its identifier.
Two changes that share one of what `touches` names are about the same.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import TypeAdapter

from fivefold.domain.errors import ConflictError
from fivefold.store.rulesets.activations import PER_SECOND
from fivefold.usecases.accounts.settings import SettingsChange
from fivefold.usecases.shared.actors import OF_APPROVAL, OF_VERSIONS, Role


def _stored_name(entity: int) -> str:
    """Name an entity as a stored subject does, which ends with it: an erasure removes the entity's own name."""
    return f"entity {entity}"


def named_subject(subject: str, entity: int | None, external_id: str | None) -> str:
    """Return a stored subject with the identifier of the entity that it is about, if any, in place of its number.

    >>> named_subject("tag 'pep' of entity 7", 7, "c-7"), named_subject("erased", 7, "x")
    ("tag 'pep' of c-7", 'erased')
    """
    if entity is None or external_id is None or not subject.endswith(stored := _stored_name(entity)):
        return subject
    return subject.removesuffix(stored) + external_id


@dataclass(frozen=True)
class RulesetsOrdered:
    """All families of a type, in the order in which they are to be tried."""

    kind: ClassVar[str] = "rulesets.order"
    entity_type: str
    families: tuple[str, ...]
    per_second: int = PER_SECOND

    @property
    def subject(self) -> str:
        """Name the subject in words."""
        return f"order of the rulesets of {self.entity_type}"

    @property
    def touches(self) -> frozenset[str]:
        """Name what it would change."""
        return frozenset({f"order of {self.entity_type}"})


@dataclass(frozen=True)
class RulesetSwitched:
    """A family that is to be on or off."""

    kind: ClassVar[str] = "ruleset.switch"
    family: str
    on: bool
    per_second: int = PER_SECOND

    @property
    def subject(self) -> str:
        """Name the subject in words."""
        return f"ruleset {self.family} {'on' if self.on else 'off'}"

    @property
    def touches(self) -> frozenset[str]:
        """Name what it would change."""
        return frozenset({f"ruleset {self.family}"})


@dataclass(frozen=True)
class RulesetRolledBack:
    """A version that decided before, and is to decide again.

    Attributes:
        release: levels that only the present version raised are not held by the cooldown.
    """

    kind: ClassVar[str] = "ruleset.rollback"
    family: str
    version: int
    per_second: int = PER_SECOND
    release: bool = False

    @property
    def subject(self) -> str:
        """Name the subject in words."""
        releasing = ", releasing levels" if self.release else ""
        return f"ruleset {self.family} back to version {self.version}{releasing}"

    @property
    def touches(self) -> frozenset[str]:
        """Name what it would change."""
        return frozenset({f"ruleset {self.family}"})


@dataclass(frozen=True)
class ListVersionsAdded:
    """Versions of a list, later than the existing ones; `list` is the written list, in JSON."""

    kind: ClassVar[str] = "list.versions"
    name: str
    list: str

    @property
    def subject(self) -> str:
        """Name the subject in words."""
        return f"list {self.name}"

    @property
    def touches(self) -> frozenset[str]:
        """Name what it would change."""
        return frozenset({f"list {self.name}"})


@dataclass(frozen=True)
class RatesReplaced:
    """Own exchange rates into the base currency; `rates` as stored, in JSON."""

    kind: ClassVar[str] = "rates.table"
    base: str
    source: str
    rates: str

    @property
    def subject(self) -> str:
        """Name the subject in words."""
        return f"exchange rates into {self.base}"

    @property
    def touches(self) -> frozenset[str]:
        """Name what it would change."""
        return frozenset({"rates"})


@dataclass(frozen=True)
class PolicyRetirement:
    """A version of a policy that is to be retired."""

    kind: ClassVar[str] = "policy.retire"
    policy: str
    number: int

    @property
    def subject(self) -> str:
        """Name the subject in words."""
        return f"policy {self.policy} version {self.number}"

    @property
    def touches(self) -> frozenset[str]:
        """Name what it would change."""
        return frozenset({f"policy {self.policy} {self.number}"})


@dataclass(frozen=True)
class SettingsChanged(SettingsChange):
    """Settings that are to have other values."""

    kind: ClassVar[str] = "settings.change"

    @property
    def subject(self) -> str:
        """Name the subject in words."""
        return ", ".join(name for name, value in asdict(self).items() if value is not None)

    @property
    def touches(self) -> frozenset[str]:
        """Name what it would change."""
        return frozenset(f"setting {name}" for name, value in asdict(self).items() if value is not None)


@dataclass(frozen=True)
class OverrideRevoked:
    """An override that is to end, by its number."""

    kind: ClassVar[str] = "override.revoke"
    override: int

    @property
    def subject(self) -> str:
        """Name the subject in words."""
        return f"end of override {self.override}"

    @property
    def touches(self) -> frozenset[str]:
        """Name what it would change."""
        return frozenset({f"override {self.override}"})


@dataclass(frozen=True)
class TagChanged:
    """A tag of an entity that is to end, now or at another moment, or to be set; `entity` is its number."""

    kind: ClassVar[str] = "fact.tag"
    entity: int
    tag: str
    until_us: int | None
    ended: bool

    @property
    def subject(self) -> str:
        """Name the subject in words."""
        return f"{'end of ' if self.ended or self.until_us else ''}tag {self.tag!r} of {_stored_name(self.entity)}"

    @property
    def touches(self) -> frozenset[str]:
        """Name what it would change."""
        return frozenset({f"tag {self.tag} of {self.entity}"})


@dataclass(frozen=True)
class ScreeningCleared:
    """A screening of an entity without a match, after one with a match."""

    kind: ClassVar[str] = "fact.screening"
    entity: int
    screening: str
    at_us: int

    @property
    def subject(self) -> str:
        """Name the subject in words."""
        return f"clean screening {self.screening!r} of {_stored_name(self.entity)}"

    @property
    def touches(self) -> frozenset[str]:
        """Name what it would change."""
        return frozenset({f"screening {self.screening} of {self.entity}"})


@dataclass(frozen=True, kw_only=True)
class RecordChanged:
    """The new state of a case or an alert about an entity.

    Attributes:
        fields: in JSON.
        only_new: it is refused if its number is taken by then.
    """

    kind: ClassVar[str] = "fact.record"
    entity: int
    of: Literal["case", "alert"]
    external_id: str
    opened_us: int
    closed_us: int | None
    outcome: str | None
    status: str | None
    fields: str
    only_new: bool = False

    @property
    def subject(self) -> str:
        """Name the subject in words."""
        return f"{self.of} {self.external_id!r} about {_stored_name(self.entity)}"

    @property
    def touches(self) -> frozenset[str]:
        """Name what it would change."""
        return frozenset({f"{self.of} {self.external_id}"})


@dataclass(frozen=True, kw_only=True)
class ModelPromoted:
    """A version of a value model that is to be champion.

    Attributes:
        content_hash: of the version as it was proposed.
        replaced: the champion when it was proposed; None if there was none.
        force: against the gate, or if it could not compare.
        proposed_by: stored with the version in MLflow's record, beside the approver.
    """

    kind: ClassVar[str] = "model.promote"
    model: str
    version: int
    content_hash: str
    replaced: int | None
    force: bool
    proposed_by: str

    @property
    def subject(self) -> str:
        """Name the subject in words."""
        return f"{self.model} version {self.version} as champion{' against the gate' if self.force else ''}"

    @property
    def touches(self) -> frozenset[str]:
        """Name what it would change."""
        return frozenset({f"model {self.model}"})


Fact = TagChanged | ScreeningCleared | RecordChanged
"""Facts about one entity that would lower a level."""
FACTS: tuple[type[Fact], ...] = (TagChanged, ScreeningCleared, RecordChanged)

Content = (
    RulesetsOrdered
    | RulesetSwitched
    | RulesetRolledBack
    | ListVersionsAdded
    | RatesReplaced
    | PolicyRetirement
    | SettingsChanged
    | OverrideRevoked
    | ModelPromoted
    | Fact
)

KINDS: Mapping[str, type[Content]] = {
    form.kind: form
    for form in (
        RulesetsOrdered,
        RulesetSwitched,
        RulesetRolledBack,
        ListVersionsAdded,
        RatesReplaced,
        PolicyRetirement,
        SettingsChanged,
        OverrideRevoked,
        ModelPromoted,
        *FACTS,
    )
}


def read_content(kind: str, fields: Mapping[str, Any]) -> Content:
    """Read a stored content.

    >>> read_content("ruleset.switch", {"family": "retail", "on": False, "per_second": 200}).subject
    'ruleset retail off'
    """
    content: Content = _form(kind).validate_python(fields)
    return content


@cache
def _form(kind: str) -> TypeAdapter[Any]:
    """Return the reader of a kind, cached: to build it takes longer than to read."""
    return TypeAdapter(KINDS[kind])


_OF_ENTITIES = dict.fromkeys((OverrideRevoked.kind, *(form.kind for form in FACTS)), OF_APPROVAL)
APPROVERS: Mapping[str, frozenset[Role]] = {SettingsChanged.kind: frozenset({Role.ADMIN}), **_OF_ENTITIES}
"""The roles that approve a kind of proposals; publishers and admins approve all others."""
REFUSERS: Mapping[str, frozenset[Role]] = _OF_ENTITIES
"""The roles that refuse a kind of proposals; publishers and admins refuse all others."""


def refuse_role(number: int, kind: str, role: Role, by_kind: Mapping[str, frozenset[Role]]) -> None:
    """Raise ConflictError if a role does not decide a kind of proposals; *by_kind*: `APPROVERS` or `REFUSERS`."""
    roles = by_kind.get(kind, OF_VERSIONS)
    if role not in roles:
        who = " and ".join(f"{each}s" for each in Role if each in roles)
        raise ConflictError(f"proposal {number} is about {_about(kind)}, which {who} decide")


def approvers_of(kind: str, by_kind: Mapping[str, frozenset[Role]] = APPROVERS) -> tuple[Role, ...]:
    """Return the roles that approve a kind of proposals, or that refuse it; *by_kind* as of `refuse_role`.

    >>> approvers_of("fact.tag")
    (<Role.APPROVER: 'approver'>, <Role.ADMIN: 'admin'>)
    """
    return tuple(each for each in Role if each in by_kind.get(kind, OF_VERSIONS))


def _about(kind: str) -> str:
    if kind == SettingsChanged.kind:
        return "settings"
    if kind == ModelPromoted.kind:
        return "which model serves"
    return "one entity" if kind in _OF_ENTITIES else "what assesses"


_SEEN: Mapping[Role, tuple[str, ...] | None] = {
    Role.APPROVER: tuple(_OF_ENTITIES),
    Role.PUBLISHER: None,
    Role.ADMIN: None,
}
"""The kinds of proposals that a role sees, None for all; a role that is missing sees none."""


def kinds_seen_by(role: Role) -> tuple[str, ...] | None:
    """Return the kinds of proposals that a role sees; None for all. Thresholds of rulesets are for publishers only.

    >>> kinds_seen_by(Role.ADMIN), kinds_seen_by(Role.INVESTIGATOR)
    (None, ())
    """
    return _SEEN.get(role, ())


class ProposalsSeen(NamedTuple):
    """Which proposals a person sees in a role: of these kinds, and by whom; None for all."""

    kinds: tuple[str, ...] | None
    proposed_by: str | None

    def has(self, kind: str, proposed_by: str) -> bool:
        """Return whether a proposal is among them."""
        return (self.kinds is None or kind in self.kinds) and self.proposed_by in (None, proposed_by)


def proposals_seen_by(actor: str, role: Role) -> ProposalsSeen:
    """Return which proposals a person sees in a role: an investigator those of their own about one entity.

    >>> proposals_seen_by("member:1", Role.INVESTIGATOR).has("fact.tag", "member:2")
    False
    """
    if role is Role.INVESTIGATOR:
        return ProposalsSeen(tuple(_OF_ENTITIES), actor)
    return ProposalsSeen(kinds_seen_by(role), None)
