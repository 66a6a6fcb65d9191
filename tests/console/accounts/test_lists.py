"""Lists in the console: which there are, who is on them, and a version from its members to its approval."""

import re

import pytest

from tests.console.test_queries import count
from tests.console.visitors import ORIGIN, Visitor
from tests.serving.v1.more_rows import MORE
from tests.serving.v1.places import THEIRS, Place

LISTS = "/console/lists"
KEPT = f"{LISTS}/kept"
FORM = f"{KEPT}/new-version"
MARKUP = "<script>alert('x')</script>"
WORDS = {"since": "2199-01-01", "title": "Watched", "source": "A letter"}


def send(visitor: Visitor, action: str, **typed: str) -> Visitor:
    """Send the form of a version by one of its buttons."""
    form = next(form for form in visitor.forms() if form.action.endswith("/check"))
    return visitor.post(form.action.removesuffix("check") + action, {**form.fields, **typed})


def test_all_lists_say_what_is_in_force_and_who_added_it(publisher: Visitor) -> None:
    text = publisher.go(LISTS).text
    assert "kept Countries that we watch 1 January 2025 5 the publisher," in text
    assert "nothing that decides now" in text
    assert KEPT in publisher.links()
    assert LISTS in publisher.go("/console/rulesets").links()


def test_a_list_shows_its_versions_and_a_version_its_members_page_by_page(place: Place, publisher: Visitor) -> None:
    text = publisher.go(KEPT).text
    assert "Countries that we watch. 5 members since 1 January 2025 ." in text
    assert "1 January 2025 in force" in text
    assert f"{KEPT}/versions/2024-01-01?show=changes" in publisher.links()
    text = publisher.go(f"{KEPT}/versions/2025-01-01").text
    assert "BY IR SY Zoë Ltd kp" in text
    assert "5 members. It is in force." in text
    text = publisher.go(f"{KEPT}/versions/2025-01-01?text=zoe").text
    assert "Found: 1 of 5. Zoë Ltd" in text
    assert "No member of this version contains it." in publisher.go(f"{KEPT}/versions/2025-01-01?text=nobody").text


def test_a_list_says_what_it_is_for_and_stays_aml_once_it_was(place: Place, publisher: Visitor) -> None:
    assert "Purpose: against money laundering (aml)." in publisher.go(KEPT).text
    shown = {"both": "commerce and against money laundering (both).", "aml": "against money laundering (aml)."}
    for day, (purpose, said) in enumerate((("both", "both"), ("aml", "aml"), ("both", "aml")), 1):
        typed = {**WORDS, "since": f"2199-01-0{day}", "members": f"IR\n{day}", "reason": "why", "purpose": purpose}
        send(publisher.go(FORM), "add", **typed)
        Visitor(place).sign_in("admin").go(publisher.page.url.path).submit("/approve", reason="seen")
        assert f"Purpose: {shown[said]}" in publisher.go(KEPT).text


def test_a_long_version_is_read_page_by_page(place: Place, publisher: Visitor) -> None:
    members = "\n".join(f"m{number:04}" for number in range(250))
    send(publisher.go(FORM), "add", **WORDS, members=members, reason="long")
    Visitor(place).sign_in("admin").go(publisher.page.url.path).submit("/approve", reason="seen")
    for address, of in (("", 250), ("?show=changes", 255), ("?text=m00", 100)):
        publisher.go(f"{KEPT}/versions/2199-01-01{address}")
        found = publisher.text.count(" m0") + publisher.text.count(" m1") + publisher.text.count(" m2")
        while following := [link for link in publisher.links() if "after=" in link]:
            publisher.go(following[0].replace("&amp;", "&"))
            found += sum(publisher.text.count(f" m{digit}") for digit in range(3))
        assert found in {of, 250, 101}, address  # the field of the search has its text too


def test_members_are_found_by_either_spelling_of_an_umlaut(place: Place, publisher: Visitor) -> None:
    send(publisher.go(FORM), "add", **WORDS, members="Müller & Co\nMueller\nMuller", reason="names")
    Visitor(place).sign_in("admin").go(publisher.page.url.path).submit("/approve", reason="seen")
    for text, found in (("müller", 3), ("mueller", 3), ("muller", 2), ("ller %26 c", 1)):
        publisher.go(f"{KEPT}/versions/2199-01-01?text={text}")
        assert f"Found: {found} of 3." in publisher.text, text


def test_a_version_says_what_it_changes_in_another(publisher: Visitor) -> None:
    text = publisher.go(f"{KEPT}/versions/2025-01-01?show=changes").text
    assert "Compared with the version from 2024-01-01 ." in text
    assert "Added: 2. Spelled differently: 1. Removed: 1. Unchanged: 2." in text
    assert "spelled differently kp before: KP" in text
    text = publisher.go(f"{KEPT}/versions/2024-01-01?show=changes").text
    assert "It is the first version, so everything in it is new." in text
    assert "Added: 4." in text
    text = publisher.go(f"{KEPT}/versions/2024-01-01?show=changes&against=2025-01-01").text
    assert "Added: 1. Spelled differently: 1. Removed: 2." in text


@pytest.mark.parametrize(
    "address",
    ["nothing", "kept/versions/2025-01-02", "kept/versions/x", "kept/versions/2025-01-01?show=changes&against=1"],
)
def test_what_is_not_there_is_said(publisher: Visitor, address: str) -> None:
    assert publisher.go(f"{LISTS}/{address}").page.status_code == 404


def test_a_version_is_looked_at_proposed_and_approved_by_another_person(place: Place, publisher: Visitor) -> None:
    publisher.go(FORM)
    assert "BY\nIR\nSY\nZoë Ltd\nkp</textarea>" in publisher.page.text
    send(publisher, "check", **WORDS, members=" IR \r\n\r\nby\r\nIR\nNew one")
    assert "It would have 3 members. Nothing is stored yet." in publisher.text
    assert "Added: 1. Spelled differently: 1. Removed: 3. Unchanged: 1." in publisher.text
    assert "Title before Countries that we watch" in publisher.text
    send(publisher, "add", **WORDS, members="IR\nby\nNew one")
    assert (publisher.page.status_code, "reason" in publisher.text) == (422, True)
    send(publisher, "add", **WORDS, members="IR\nby\nNew one", reason="a letter came")
    assert "The version is proposed. Another person has to approve it." in publisher.text
    assert "You proposed it, so another person has to approve it." in publisher.text
    assert "Added: 1. Spelled differently: 1. Removed: 3. Unchanged: 1." in publisher.text
    address = publisher.page.url.path
    assert "the publisher proposed a version now: a letter came" in publisher.go(KEPT).text
    other = Visitor(place).sign_in("admin").go(address)
    for decision in ("/approve", "/refuse"):
        other.submit(decision, reason="it is so", seen_proposed="2026-01-01T00:00:00.000001Z")
        assert other.page.status_code == 409
        assert "is another one now" in other.text
    other.submit("/approve", reason="it is so")
    assert "The change is approved and carried out." in other.text
    assert "Added: 1. Spelled differently: 1. Removed: 3. Unchanged: 1." in other.text, "as it was, and not with itself"
    text = publisher.go(KEPT).text
    assert "1 January 2199 not in force yet what it changes 3 the publisher: a letter came" in text
    assert "the admin," in text


def test_members_that_look_alike_are_named_to_the_author_and_to_who_approves(place: Place, publisher: Visitor) -> None:
    said = "different for every rule: BY , \u0412Y &#39;\\u0412Y&#39;"
    members = "BY\n\u0412Y\nKP\nkp"
    send(publisher.go(FORM), "check", **WORDS, members="BY\nKP\nkp")
    assert "look alike" not in publisher.text
    send(publisher, "check", **WORDS, members=members)
    assert said in publisher.text
    send(publisher, "add", **WORDS, members=members, reason="a letter came")
    assert said in Visitor(place).sign_in("admin").go(publisher.page.url.path).text


def test_who_approves_a_long_version_sees_removals_first_and_every_difference(place: Place, publisher: Visitor) -> None:
    before = "\n".join(f"old{number:03};" for number in range(150))
    send(publisher.go(FORM), "add", **WORDS, members=before, reason="long")
    Visitor(place).sign_in("admin").go(publisher.page.url.path).submit("/approve", reason="seen")
    after = {**WORDS, "since": "2199-02-01", "members": "\n".join(f"new{number:03};" for number in range(300))}
    send(publisher.go(FORM), "check", **after)
    table = publisher.text.partition("<textarea")[0]
    assert "These are the first 200, removed ones first." in table
    assert len(set(re.findall(r"removed (old\d+;)", table))) == 150
    send(publisher, "add", **after, reason="other people")
    other = Visitor(place).sign_in("admin").go(publisher.page.url.path)
    assert re.findall(r"removed (old\d+;)", other.text) == before.split("\n")
    added = re.findall(r"added (new\d+;)", other.text)
    while following := [link for link in other.links() if "after_differences" in link]:
        added += re.findall(r"added (new\d+;)", other.go(following[0].replace("&amp;", "&")).text)
    assert added == after["members"].split("\n")
    other.submit("/approve", reason="it is so")
    assert "The change is approved and carried out." in other.text


def test_a_version_is_not_approved_after_one_that_its_author_had_not_seen(place: Place, publisher: Visitor) -> None:
    addresses = []
    for since in ("2199-01-01", "2199-02-01"):
        publisher.go(FORM)
        send(publisher, "add", **{**WORDS, "since": since}, members=f"IR\n{since}", reason="a letter came")
        addresses.append(publisher.page.url.path)
    other = Visitor(place).sign_in("admin").go(addresses[1])
    Visitor(place).sign_in("admin").go(addresses[0]).submit("/approve", reason="it is so")
    other.submit("/approve", reason="it is so")
    assert other.page.status_code == 409
    assert "the beginning of the newest version of the list was" in other.text
    assert "and is 2199-01-01 now" in other.text


def test_before_anything_decides_one_person_adds_a_list_at_once(place: Place) -> None:
    visitor = Visitor(place).sign_in("publisher", THEIRS).go(LISTS)
    assert "There is no list yet." in visitor.text
    visitor.go("/console/new-list")
    send(visitor, "check", **WORDS, name="of theirs", members="IR")
    assert (visitor.page.status_code, "name" in visitor.text) == (422, True)
    send(visitor, "check", **WORDS, name="theirs", members="IR")
    assert "It would have 1 member." in visitor.text
    send(visitor, "add", members="IR")
    assert "The version is added." in visitor.text
    assert "No version is in force yet." in visitor.text
    visitor.go("/console/new-list")
    send(visitor, "add", **WORDS, name="theirs", members="KP")
    assert (visitor.page.status_code, "there is already a list theirs" in visitor.text) == (409, True)


def test_two_who_write_a_version_at_once_do_not_lose_members(place: Place) -> None:
    first, second = (Visitor(place).sign_in(role, THEIRS) for role in ("publisher", "admin"))
    send(first.go("/console/new-list"), "add", **{**WORDS, "since": "2020-01-01"}, name="theirs", members="IR")
    for visitor in (first, second):
        visitor.go(f"{LISTS}/theirs/new-version")
    send(first, "add", **{**WORDS, "since": "2021-01-01"}, members="IR\nKP")
    send(second, "add", **{**WORDS, "since": "2022-01-01"}, members="IR\nSY")
    assert second.page.status_code == 409
    assert "another person added a version of the list theirs, in force from 2021-01-01" in second.text
    assert "IR\nSY</textarea>" in second.page.text


def test_a_file_counts_instead_of_the_field(publisher: Visitor) -> None:
    form = next(form for form in publisher.go(FORM).forms() if form.action.endswith("/check"))

    def sent(content: bytes) -> Visitor:
        file = {"file": ("members.txt", content, "text/plain")}
        return publisher.send(
            "POST", form.action, data={**form.fields, **WORDS}, files=file, headers={"origin": ORIGIN}
        )

    assert "It would have 2 members." in sent("\ufeffZoë\r\nIR\r\n".encode()).text
    assert "Zoë\nIR" in publisher.page.text
    assert (sent(b"\xff\xfe").page.status_code, "not text in UTF-8" in publisher.text) == (422, True)
    publisher.send("POST", form.action, content=b"x", headers={"origin": ORIGIN, "content-type": "multipart/form-data"})
    assert (publisher.page.status_code, "The form cannot be read" in publisher.text) == (422, True)


@pytest.mark.parametrize(
    ("typed", "status", "said"),
    [
        ({"since": "soon"}, 422, "In force from is &#39;soon&#39;"),
        ({"since": "2025-01-01"}, 409, "add a later one"),
        ({"title": " "}, 422, "Title is empty"),
        ({"purpose": "trade"}, 422, "the purpose"),
        ({"members": "a" * 257_000}, 422, "more than 256,000 bytes"),
        ({"seen": "2024-01-01"}, 409, "another person added a version"),
        ({"seen": "x"}, 404, "there is no version"),
    ],
)
def test_what_cannot_be_taken_is_said(publisher: Visitor, typed: dict[str, str], status: int, said: str) -> None:
    send(publisher.go(FORM), "add", **{**WORDS, "members": "IR", "reason": "why", **typed})
    assert (publisher.page.status_code, said in publisher.text) == (status, True), publisher.text


def test_stored_text_of_lists_is_never_markup(place: Place, publisher: Visitor) -> None:
    words = {"since": "2199-01-01", "title": MARKUP, "source": MARKUP, "members": MARKUP, "reason": MARKUP}
    send(publisher.go(FORM), "check", **words)
    assert "<script>alert" not in publisher.page.text
    send(publisher, "add", **words)
    assert "The version is proposed." in publisher.text
    proposal = publisher.page.url.path
    assert "<script>alert" not in publisher.page.text
    assert "<script>alert" not in publisher.go(KEPT).page.text
    Visitor(place).sign_in("admin").go(proposal).submit("/approve", reason="seen")
    for address in (KEPT, LISTS, f"{KEPT}/versions/2199-01-01", f"{KEPT}/versions/2199-01-01?show=changes", FORM):
        assert "alert" in publisher.go(address).text, address
        assert "<script>alert" not in publisher.page.text, address


def test_more_lists_and_versions_take_no_more_statements(place: Place, publisher: Visitor) -> None:
    few = {address: count(publisher, address) for address in (LISTS, KEPT)}
    for number in range(12):
        MORE["list_list_states"](place, number)
        MORE["list_versions_of_list"](place, number)
    assert {address: count(publisher, address) for address in few} == few


def test_nobody_without_the_right_sees_a_list(place: Place) -> None:
    investigator = Visitor(place).sign_in("investigator")
    for address in (LISTS, KEPT, FORM, f"{KEPT}/versions/2025-01-01", "/console/new-list"):
        assert investigator.go(address).page.status_code == 403


def test_lines_that_repeat_another_one_or_are_empty_are_counted(publisher: Visitor) -> None:
    send(publisher.go(FORM), "check", **WORDS, members="BY\n\nKP\nBY \n \nBY\n")
    assert "It would have 2 members." in publisher.text
    assert "Repeated lines: 2. Empty lines: 2." in publisher.text
    assert "Repeated lines" not in send(publisher, "check", **WORDS, members="BY\nKP\n").text


@pytest.mark.parametrize("action", ["check", "add"])
def test_a_member_with_a_character_that_is_not_seen_is_refused_by_both_buttons(publisher: Visitor, action: str) -> None:
    send(publisher.go(FORM), action, **WORDS, members="BY\nK\u200bP", reason="A letter.")
    assert (publisher.page.status_code, "has the control character U+200B" in publisher.text) == (422, True)


def test_a_wrong_moment_is_marked_at_its_field(publisher: Visitor) -> None:
    send(publisher.go(FORM), "check", **{**WORDS, "since": "soon"}, members="BY")
    (field,) = re.findall(r'<input id="since"[^>]*>', publisher.page.text)
    assert 'aria-invalid="true"' in field
