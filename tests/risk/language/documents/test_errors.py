"""What the YAML reader complains of, as people read it."""

import pytest
import yaml

from fivefold.risk.language.documents.errors import in_plain_words


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: b: c", "line 1: YAML: a colon followed by a space, where none can stand"),
        ("a: 1\n  b: 2", "line 2: YAML: a colon followed by a space, where none can stand"),
        ("a:\n\tb: 1", "line 2: YAML: a tab; indent with spaces"),
        ("a: %x", "line 1: YAML: text that begins with % must stand in quotes"),
        ("a: @x", "line 1: YAML: text that begins with @ must stand in quotes"),
        ("a: *", "line 1: YAML: text that begins with * or & must stand in quotes"),
        ("a: 1\n---\nb: 2", "line 2: YAML: a second document (after ---); a file holds one"),
        ("a: [1, 2", "line 1: YAML: a bracket that is never closed"),
        ("a: {b: 1\n", "line 2: YAML: a bracket that is never closed"),
        ('a: "x', "line 1: YAML: a quote that is never closed"),
        ("a: 1\nbc\nd: 2", "line 3: YAML: a line without a colon, or indented wrongly"),
        ("b: - 5", "line 1: YAML: a dash, where no list item can stand; begin the list on a line of its own"),
        ("a:\n  - b\n c: 1", "line 3: YAML: a line that is indented differently from its neighbours"),
        ("a: [1, 2}", "line 1: YAML: a comma that is missing, or a bracket that is closed by the wrong one"),
        ("a: 1\nb: \x07", "line 2: YAML: the character x0007, which no text can hold"),
        ("a: 1\n...\n%FOO\n", "YAML: "),
    ],
)
def test_complaints_are_told_in_plain_words(text: str, told: str) -> None:
    with pytest.raises(yaml.YAMLError) as caught:
        yaml.SafeLoader(text).get_single_node()
    assert told in str(in_plain_words(caught.value, text))


def test_a_complaint_without_a_place_is_told_as_it_is() -> None:
    assert str(in_plain_words(yaml.YAMLError("something else"), "")) == "YAML: something else"
