"""Versions and promotions are read page by page, and a comparison comes back as it was stored."""

import pytest

from fivefold.domain.errors import ConfigError, ModelError, NotFoundError
from fivefold.domain.paging import Part, every_row
from fivefold.models.comparison import VersionComparison
from fivefold.usecases.models.read import list_promotions, list_versions, no_registry, read_version
from tests.serving.v1.models.registries import CARD, comparison, registry


def test_versions_and_promotions_come_page_by_page_the_newest_first() -> None:
    assert [line.number for line in every_row(lambda part: list_versions(registry, part), 3)] == [4, 3, 2, 1]
    changes = list(every_row(lambda part: list_promotions(registry, part), 2))
    assert [(change.version, change.replaced) for change in changes] == [(1, 4), (4, 3), (3, None)]
    for ask in (list_versions, list_promotions):
        assert len(ask(registry)) >= 3
        assert ask(no_registry) == []
        with pytest.raises(ConfigError, match="after must be the cursor that the previous page"):
            ask(registry, Part(2, ("x",)))


def test_a_version_has_what_training_stored_with_it() -> None:
    found = read_version(registry, 2)
    assert (found.comparison, found.card, found.missing) == (comparison(), CARD, "")
    assert (found.gate_allows, found.judged_against, found.normalised_gini) == (True, 1, 0.912)
    assert (read_version(registry, 3).gate_allows, read_version(registry, 3).comparison) == (False, None)
    for opened in (registry, no_registry):
        with pytest.raises(NotFoundError, match="version 9"):
            read_version(opened, 9)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "damaged: JSONDecodeError"),
        ("[]", "damaged: TypeError"),
        ('{"form": 2}', "of a form that this program does not know"),
        ('{"form": 1}', "damaged: KeyError"),
    ],
)
def test_a_comparison_of_another_form_or_damaged_is_refused(text: str, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        VersionComparison.from_json(text)
