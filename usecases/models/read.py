"""The registered versions of the value model as they were stored; nothing is computed here."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

from fivefold.domain.errors import (
    ConfigError,
    ConflictError,
    ModelError,
    ModelNotFoundError,
    NotFoundError,
    RegistryError,
    StoreError,
)
from fivefold.domain.paging import NO_PLACE, WHOLE, Page, Part, first_page
from fivefold.usecases.shared.api_fields import Moment, schema, shown_as

if TYPE_CHECKING:
    from fivefold.models.comparison import VersionComparison
    from fivefold.models.promotions import Promotion
    from fivefold.models.registry import RegisteredVersion, Registry

OpenRegistry = Callable[[], "Registry | None"]
"""Opens the registry of value models, once; returns None if nothing was trained yet."""


def no_registry() -> None:
    """Open no registry, for a machine without one."""


@schema("ModelVersion")
@dataclass(frozen=True, kw_only=True)
class ModelVersionLine:
    """A registered version.

    Attributes:
        aliases: its aliases: champion serves; challenger is the newest.
        test_as_of_us: the moment after which it learnt nothing.
        judged_as_of_us: for a refit from everything up to `test_as_of`, the moment after which the judged model, to
            which the figures belong, learnt nothing; None if the version was judged itself.
        normalised_gini: on the test window; None if it was not measured, as the next ones.
        gate_allows: whether the gate allowed it to become champion; None if it was not judged by the gate.
        gate_reasons: the reasons of the gate.
        judged_against: the champion that the gate compared it with; None if there was none.
        recalibration_of: the recalibrated version, which has the same trees; None if it was trained.
        absent_columns: the columns that its training data lacked.
    """

    number: int
    registered_us: Annotated[Moment, shown_as("registered_at")]
    aliases: list[str]
    test_as_of_us: Annotated[Moment, shown_as("test_as_of")]
    judged_as_of_us: Annotated[Moment | None, shown_as("judged_as_of")]
    normalised_gini: float | None
    top_decile_capture: float | None
    spearman: float | None
    gate_allows: bool | None
    gate_reasons: str
    judged_against: int | None
    recalibration_of: int | None
    absent_columns: list[str]


@dataclass(frozen=True, kw_only=True)
class ModelVersionView(ModelVersionLine):
    """A registered version with what training stored beside it.

    Attributes:
        comparison: the comparison with the version that it was judged against, on the same window; None if none was
            stored.
        missing: why there is no comparison; empty if there is one.
        card: the model card in Markdown; None if it is gone.
    """

    comparison: "VersionComparison | None"
    missing: str
    card: str | None


@schema("ModelPromotion")
@dataclass(frozen=True, kw_only=True)
class PromotionLine:
    """One change of the version that serves.

    Attributes:
        action: promote or rollback.
        version: the version that serves from then on.
        replaced: the version that served before; None if none did.
        forced: whether it was promoted although the gate forbade it, or could not compare.
    """

    at_us: Annotated[Moment, shown_as("at")]
    action: str
    version: int
    replaced: int | None
    who: str
    why: str
    forced: bool


def list_versions(open_registry: OpenRegistry, part: Part = WHOLE) -> Page[ModelVersionLine]:
    """List the versions, the newest first; empty if nothing was trained yet.

    Raises:
        ConfigError: the part does not begin after a version.
        StoreError: the registry does not answer.
    """
    below = None
    if part.after is not None:
        if len(part.after) != 1 or type(part.after[0]) is not int:
            raise ConfigError(NO_PLACE)
        below = part.after[0]
    most = 10_000 if part.most is None else part.most
    with asking(open_registry) as registry:
        versions = [] if registry is None else registry.versions_below(below, most + 1)
    return first_page(versions, lambda version: (version.number,), part.most).map(_line)


def read_version(open_registry: OpenRegistry, number: int) -> ModelVersionView:
    """Return a version with what training stored.

    Raises:
        NotFoundError: no version has that number.
        StoreError: the registry does not answer.
    """
    from fivefold.models.comparison import FILE, VersionComparison  # noqa: PLC0415 (only where models are)
    from fivefold.models.registry import CARD_FILE  # noqa: PLC0415 (imports MLflow)

    with asking(open_registry) as opened:
        registry, version = _version(opened, number)
        text, card = (registry.artifact(version.run_id, name) for name in (FILE, CARD_FILE))
    comparison, missing = None, ""
    if text is None:
        missing = "none was stored with this version: it was registered before comparisons were, or its files are gone"
    else:
        try:
            comparison = VersionComparison.from_json(text)
        except ModelError as error:
            missing = str(error)
    return ModelVersionView(**vars(_line(version)), comparison=comparison, missing=missing, card=card)


def require_version(open_registry: OpenRegistry, number: int) -> None:
    """Raise NotFoundError if no version has that number, or StoreError if the registry does not answer."""
    with asking(open_registry) as registry:
        _version(registry, number)


def list_promotions(open_registry: OpenRegistry, part: Part = WHOLE) -> Page[PromotionLine]:
    """List promotions and rollbacks, the latest first; errors as of `list_versions`."""
    from fivefold.models.promotions import promotion_history  # noqa: PLC0415 (as above)

    with asking(open_registry) as registry:
        changes = [] if registry is None else promotion_history(registry)
    numbered = [(len(changes) - place, change) for place, change in enumerate(reversed(changes))]
    if part.after is not None:
        if len(part.after) != 1 or type(part.after[0]) is not int:
            raise ConfigError(NO_PLACE)
        behind = part.after[0]
        numbered = [(number, change) for number, change in numbered if number < behind]
    return first_page(numbered, lambda row: (row[0],), part.most).map(lambda row: promotion_line(row[1]))


@dataclass(frozen=True, kw_only=True)
class ServingVersion:
    """The version with the alias champion.

    Attributes:
        since: the promotion or rollback that made it serve; None if the alias was moved in MLflow, without a record.
    """

    number: int
    since: PromotionLine | None


def read_serving(open_registry: OpenRegistry) -> ServingVersion | None:
    """Return the serving version, and since when it serves; None if there is none. Errors as of `list_versions`."""
    from fivefold.models.promotions import promotions_of_present  # noqa: PLC0415 (as above)

    with asking(open_registry) as registry:
        champion = None if registry is None else registry.champion()
        if registry is None or champion is None:
            return None
        latest = promotions_of_present(registry)[-1:]
    since = next((promotion_line(each) for each in latest if each.version == champion.number), None)
    return ServingVersion(number=champion.number, since=since)


def version_served_before(open_registry: OpenRegistry) -> int | None:
    """Return the version that a rollback would activate; None if none served before. Errors as of `list_versions`."""
    from fivefold.models.promotions import version_before  # noqa: PLC0415 (as above)

    with asking(open_registry) as registry:
        return None if registry is None else version_before(registry)


def _version(registry: "Registry | None", number: int) -> "tuple[Registry, RegisteredVersion]":
    if registry is None:
        raise NotFoundError(f"there is no version {number}: no model was trained yet")
    try:
        return registry, registry.version(number)
    except ModelNotFoundError as error:
        raise NotFoundError(str(error)) from None


@contextmanager
def asking(open_registry: OpenRegistry) -> Iterator["Registry | None"]:
    """Open the registry; StoreError if it does not answer, as it may answer later."""
    try:
        yield open_registry()
    except RegistryError as error:
        raise StoreError("the registry of models does not answer") from error


def present(registry: "Registry | None") -> "Registry":
    """Return the registry; ConflictError if nothing was trained yet."""
    if registry is None:
        raise ConflictError("no model was trained yet, so there is none to promote")
    return registry


def promotion_line(change: "Promotion") -> PromotionLine:
    """Return a promotion as it is listed."""
    fields = asdict(change)
    del fields["model_run"]  # an id of MLflow
    return PromotionLine(**fields)


def _line(version: "RegisteredVersion") -> ModelVersionLine:
    allowed, against = version.tags.get("gate_promote"), version.tags.get("gate_champion", "")
    metrics = {name: version.metrics.get(f"model_{name}") for name in _METRICS}
    return ModelVersionLine(
        number=version.number,
        registered_us=version.created_us,
        aliases=list(version.aliases),
        test_as_of_us=version.test_as_of,
        judged_as_of_us=version.judged_as_of,
        **metrics,
        gate_allows=None if allowed is None else allowed == "true",
        gate_reasons=version.tags.get("gate_reasons", ""),
        judged_against=int(against) if against else None,
        recalibration_of=version.parent,
        absent_columns=list(version.absent),
    )


_METRICS = ("normalised_gini", "top_decile_capture", "spearman")
