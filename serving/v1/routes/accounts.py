"""Members with their roles, and tokens, which two administrators make: each is shown one half.

Also an organisation's settings, types of entities, own exchange rates, and named lists, such as lists of countries,
which rulesets read by name.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from fivefold.domain.paging import Page
from fivefold.serving.v1.paging import PageQuery
from fivefold.serving.v1.route import RequestContext
from fivefold.serving.v1.schemas import (
    LARGEST,
    WHOLE,
    MomentGiven,
    Number,
    ReasonIfAny,
    RequestModel,
    ResponseModel,
    Text,
)
from fivefold.store.accounts.plans import MOST_DAYS
from fivefold.usecases.accounts import entity_types, lists, organisations, rate_tables, settings, token_requests
from fivefold.usecases.accounts import list_members as members
from fivefold.usecases.accounts.entity_types import TypeLine
from fivefold.usecases.accounts.list_members import ListMember, MemberChange
from fivefold.usecases.accounts.lists import ListLine
from fivefold.usecases.accounts.organisations import MemberLine
from fivefold.usecases.accounts.rate_tables import Rates, RateTableLine
from fivefold.usecases.accounts.settings import Settings
from fivefold.usecases.accounts.token_requests import (
    HalfOfSecret,
    PlanLine,
    TokenRequestLine,
    TokenShown,
    TokenSpecification,
)
from fivefold.usecases.changes import asks, list_overview
from fivefold.usecases.changes.list_overview import ListState, ListVersionState
from fivefold.usecases.changes.proposals import ProposalLine
from fivefold.usecases.shared.api_fields import schema

RoleOfMember = Literal["investigator", "approver", "publisher", "admin", "commercial"]


class RolesGiven(RequestModel):
    """The roles that a member is to have, and no others."""

    roles: list[RoleOfMember] = Field(min_length=1)


class MemberGiven(RolesGiven):
    """A new member, or one who comes back."""

    name: Text = Field(min_length=1, max_length=200)


def list_members(context: RequestContext, query: PageQuery) -> Page[MemberLine]:
    """List the members, those who left too."""
    return organisations.list_members(context, query.part)


def add_member(context: RequestContext, body: MemberGiven) -> MemberLine:
    """Add a member, or take back one who left.

    Tokens are not made here: `fivefold tokens create --member NAME` makes them, on the machine.
    """
    return organisations.add_member(context, body.name, body.roles)


def set_roles(context: RequestContext, member: Number, body: RolesGiven) -> MemberLine:
    """Give a member these roles and no others; tokens of roles that they lose end at once."""
    return organisations.set_roles(context, member, body.roles)


def leave(context: RequestContext, member: Number) -> MemberLine:
    """Note that a member has left; all their tokens end at once."""
    return organisations.end_membership(context, member)


class TokenWanted(RequestModel):
    """What a token is to be: a member's, who has its role, or a program's where `member` is not given.

    With `mcp_changes` the tools of /mcp that change something are there for it, as far as its role goes.
    """

    role: Literal["app", "investigator", "approver", "publisher", "admin", "commercial"]
    plan: Text
    member: Annotated[int, Field(ge=1, le=LARGEST), WHOLE] | None = None
    label: Text = Field(default="", max_length=200)
    expires_days: Annotated[int, Field(ge=1, le=MOST_DAYS), WHOLE] | None = None
    mcp_changes: bool = False


class PageOfTokens(PageQuery):
    """Whose tokens: everybody's by default."""

    member: Number | None = None


class PageOfRequests(PageQuery):
    """Of which state: asked, made or refused; all by default."""

    state: Literal["asked", "made", "refused"] | None = None


class RequestSeen(RequestModel):
    """Which request was looked at: where it is left out, that is not checked.

    `expected_asked_at` is its `asked_at`, as after a restore another request may have its number.
    """

    expected_asked_at: MomentGiven | None = None


class TokenSeen(RequestModel):
    """Which token was looked at: where it is left out, that is not checked.

    `expected_created_at` is its `created_at`, as after a restore another token may have its number.
    """

    expected_created_at: MomentGiven | None = None


def list_plans(context: RequestContext, query: PageQuery) -> Page[PlanLine]:
    """List the plans that tokens may have, with their limits, by name."""
    return token_requests.list_plans(context.plans, query.part)


def list_tokens(context: RequestContext, query: PageOfTokens) -> Page[TokenShown]:
    """List the tokens without their secrets, the newest first, with what they used up in this month."""
    return token_requests.list_tokens(context, query.member, query.part)


def revoke_token(context: RequestContext, number: Number, query: TokenSeen) -> None:
    """End a token at once; a second time changes nothing."""
    token_requests.revoke_token(context, number, query.expected_created_at)


def list_token_requests(context: RequestContext, query: PageOfRequests) -> Page[TokenRequestLine]:
    """List the tokens that were asked for, the newest first."""
    return token_requests.list_requests(context, query.state, query.part)


def ask_for_token(context: RequestContext, body: TokenWanted) -> HalfOfSecret:
    """Ask for a token, and get the first half of its secret; another administrator approves it.

    The secret is `FIRST.SECOND`, with a dot between the halves; each half is shown only once, to one of the two.
    """
    wanted = TokenSpecification(
        role=body.role,
        plan=body.plan,
        member_id=body.member,
        label=body.label,
        expires_days=body.expires_days,
        mcp_changes=body.mcp_changes,
    )
    return token_requests.request_token(context, context.plans, wanted)


def approve_token(context: RequestContext, token_request: Number, query: RequestSeen) -> HalfOfSecret:
    """Make a token that another administrator asked for, and get the second half of its secret."""
    return token_requests.approve_token(context, context.plans, token_request, query.expected_asked_at)


def refuse_token(context: RequestContext, token_request: Number, query: RequestSeen) -> TokenRequestLine:
    """Refuse a token that was asked for, or take back one's own request."""
    return token_requests.refuse_token(context, token_request, query.expected_asked_at)


class ListVersionGiven(RequestModel):
    """A version of a list: its members, and from when on it is in force, later than all versions that are there.

    `reason` is needed once anything decides: then the version is proposed. `purpose` says what the list was made for;
    one of which nobody says anything is `aml`.
    """

    since: MomentGiven
    members: list[Text]
    title: Text
    source: Text
    reason: ReasonIfAny = ""
    purpose: Literal["aml", "commercial", "both"] | None = None


class ListPut(ResponseModel):
    """The versions that were added, and how many entities are assessed again by that; or the proposal to add them."""

    versions: tuple[ListLine, ...]
    touched: int
    proposal: ProposalLine | None


def list_lists(context: RequestContext, query: PageQuery) -> Page[ListLine]:
    """List all versions of all lists: by name, the oldest version first."""
    return lists.list_lists(context, query.part)


def add_list_version(context: RequestContext, name: Text, body: ListVersionGiven) -> ListPut:
    """Add a version of a list, or propose it once anything decides; those that are there never change."""
    arguments = (name, body.since, body.members, body.title, body.source)
    outcome = asks.put_list_version(context, *arguments, reason=body.reason, purpose=body.purpose)
    done = outcome.result if isinstance(outcome.result, lists.ListPut) else lists.ListPut((), 0)
    return ListPut.of({**vars(done), "proposal": outcome.proposal})


class PageOfMembers(PageQuery):
    """Members of the version that began at `since`, without it of the one in force; those that have `text` in them."""

    since: MomentGiven | None = None
    text: Text = ""


class PageOfChanges(PageQuery):
    """What the version that began at `since` changes in the one that began at `against`; by default the one before."""

    since: MomentGiven
    against: MomentGiven | None = None


def list_list_states(context: RequestContext, query: PageQuery) -> Page[ListState]:
    """List where each list stands: what is in force, who added it, and what reads it; by name."""
    return list_overview.list_list_states(context, query.part)


def list_versions_of_list(context: RequestContext, name: Text, query: PageQuery) -> Page[ListVersionState]:
    """List the versions of a list with who added them, the newest first."""
    return list_overview.list_version_states(context, name, query.part)


def list_list_members(context: RequestContext, name: Text, query: PageOfMembers) -> Page[ListMember]:
    """List the members of a version, in the order of their characters."""
    return members.list_members(context, name, query.since, query.text, query.part).members


def list_member_changes(context: RequestContext, name: Text, query: PageOfChanges) -> Page[MemberChange]:
    """List who was removed from a list from one version to another, who is spelled otherwise, and who was added."""
    return members.compare_versions(context, name, query.since, query.against, query.part).changes


class LevelsGiven(RequestModel):
    """The names of the levels, the lowest first."""

    levels: Annotated[list[Text], Field(min_length=settings.FEWEST_LEVELS, max_length=settings.MOST_LEVELS)]


class SettingsGiven(RequestModel):
    """What is to change; what is not given stays. `reason` is needed once anything decides: then it is proposed."""

    base_currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None
    override_cap_percent: Annotated[int, Field(ge=0, le=100), WHOLE] | None = None
    retention_days: Annotated[int, Field(ge=0, le=settings.MOST_RETENTION_DAYS), WHOLE] | None = None
    minimum_coverage_percent: Annotated[int, Field(ge=0, le=100), WHOLE] | None = None
    programs_lower_levels: bool | None = None
    two_people_promote: bool | None = None
    challenge_days: Annotated[int, Field(ge=1, le=settings.MOST_CHALLENGE_DAYS), WHOLE] | None = None
    outbox_days: Annotated[int, Field(ge=0, le=settings.MOST_RETENTION_DAYS), WHOLE] | None = None
    deliveries_days: Annotated[int, Field(ge=0, le=settings.MOST_RETENTION_DAYS), WHOLE] | None = None
    reports_days: Annotated[int, Field(ge=0, le=settings.MOST_RETENTION_DAYS), WHOLE] | None = None
    assessments_days: Annotated[int, Field(ge=0, le=settings.MOST_RETENTION_DAYS), WHOLE] | None = None
    flows_days: Annotated[int, Field(ge=0, le=settings.MOST_RETENTION_DAYS), WHOLE] | None = None
    lowest_alert_percent: Annotated[int, Field(ge=0, le=100), WHOLE] | None = None
    reason: ReasonIfAny = ""


@schema("SettingsAsked")
@dataclass(frozen=True, kw_only=True)
class SettingsAsked(Settings):
    """The settings as they are now, and the proposal to change them, where one was made."""

    proposal: ProposalLine | None


class FieldsGiven(RequestModel):
    """Typed fields and purposes, as rulesets declare them: of the entity, its transactions, its cases and alerts.

    `links` gives each type of link between entities its kind: `shared` or `directed`.
    """

    fields: dict[str, Any] = Field(default_factory=dict)
    transaction_fields: dict[str, Any] = Field(default_factory=dict)
    case_fields: dict[str, Any] = Field(default_factory=dict)
    purposes: dict[str, Any] = Field(default_factory=dict)
    links: dict[str, Any] = Field(default_factory=dict)


def read_settings(context: RequestContext) -> Settings:
    """Show the settings."""
    return settings.read_settings(context)


def choose_levels(context: RequestContext, body: LevelsGiven) -> Settings:
    """Choose the levels; refused once a ruleset was written for those that are there."""
    return settings.choose_levels(context, body.levels)


def change_settings(context: RequestContext, body: SettingsGiven) -> SettingsAsked:
    """Change settings, or propose it once anything decides."""
    change = settings.SettingsChange(**body.model_dump(exclude={"reason"}))
    outcome = asks.change_settings(context, change, body.reason)
    present = settings.read_settings(context)
    return SettingsAsked(**vars(present), proposal=outcome.proposal)


def list_types(context: RequestContext, query: PageQuery) -> Page[TypeLine]:
    """List the types of entities, by name."""
    return entity_types.list_types(context, query.part)


def define_type(context: RequestContext, name: Text, body: FieldsGiven) -> TypeLine:
    """Make a type of entity, or add fields to one; fields that are there stay as they are."""
    return entity_types.define_type(
        context, name, body.fields, body.transaction_fields, body.case_fields, body.purposes, body.links
    )


class RatesGiven(RequestModel):
    """Rates as `currency`, `date` and `rate`: 1 unit of the currency buys `rate` units of the base currency.

    `reason` is needed once anything decides: then the table is proposed.
    """

    rates: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=rate_tables.MOST_ROWS)]
    source: Text
    reason: ReasonIfAny = ""


class RatesPut(ResponseModel):
    """The table that was added; or the proposal to add it."""

    table: RateTableLine | None
    proposal: ProposalLine | None


def read_rates(context: RequestContext) -> Rates:
    """Show the rates in force, each with the day that it is of."""
    return rate_tables.show_rates(context)


def list_rate_tables(context: RequestContext, query: PageQuery) -> Page[RateTableLine]:
    """List the organisation's own tables, the newest first."""
    return rate_tables.list_rate_tables(context, query.part)


def add_rates(context: RequestContext, body: RatesGiven) -> RatesPut:
    """Add a table of own rates, or propose it once anything decides; for what it lacks the ECB's go on holding."""
    rates = rate_tables.rates_from_rows(body.rates, body.source)
    outcome = asks.put_rates(context, rates, body.reason)
    return RatesPut.of({"table": outcome.result, "proposal": outcome.proposal})
