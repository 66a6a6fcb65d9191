"""Organisations are known by their names."""

import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.store.accounts.plans import read_plans
from fivefold.store.audit.log import entries
from fivefold.store.sql.database import open_database
from fivefold.store.tables.accounts import Member
from fivefold.store.tables.audit import AuditEntry, AuditValues
from fivefold.usecases.accounts.credentials import find_credential
from fivefold.usecases.accounts.organisations import (
    actor_in,
    actor_in_new,
    add_member,
    end_membership,
    list_members,
    set_roles,
)
from fivefold.usecases.accounts.tokens import create_token, list_tokens
from fivefold.usecases.audit.verify import verify
from fivefold.usecases.shared.actors import Actor
from fivefold.usecases.shared.context import Context
from tests.store import databases


@pytest.mark.postgresql
def test_an_actor_belongs_to_the_organisation_of_that_name(engine: Engine) -> None:
    first, second = (actor_in_new(engine, name, "cli:ana") for name in ("one", "two"))
    assert first.organisation_id != second.organisation_id
    assert actor_in_new(engine, "one", "cli:ana") == actor_in(engine, "one", "cli:ana") == first
    assert actor_in(engine, "two", "cli:zoë") == Actor(second.organisation_id, "cli:zoë")


def test_an_organisation_that_is_not_there_is_told(engine: Engine) -> None:
    with pytest.raises(ConfigError, match="there is no organisation 'acme'"):
        actor_in(engine, "acme", "cli:ana")
    with pytest.raises(ConfigError, match="organisation has 201 characters; at most 200 are allowed"):
        actor_in_new(engine, "x" * 201, "cli:ana")


PLANS = read_plans(None)
OURS, THEIRS = "ours", "theirs"


def at(engine: Engine, organisation: str = OURS) -> Actor:
    return actor_in_new(engine, organisation, "cli:ana")


def join(engine: Engine, name: str = "Zoë", roles: Sequence[str] = ("publisher",), organisation: str = OURS) -> int:
    return add_member(Context(engine, at(engine, organisation)), name, roles).id


def token(engine: Engine, member: str = "Zoë", role: str = "publisher", organisation: str = OURS) -> str:
    return create_token(engine, PLANS, plan="trial", role=role, member=member, organisation=organisation)[1]


def recorded(engine: Engine, organisation: str = OURS) -> list[tuple[str, str | None, dict[str, object]]]:
    with Session(engine) as session:
        found = entries(session, at(engine, organisation).organisation_id)
        return [(entry.action, entry.subject_id, json.loads(entry.details)) for entry in found]


def test_members_belong_to_one_organisation_and_are_listed_in_order(engine: Engine) -> None:
    first, second = join(engine, "Zoë", ["publisher", "approver"]), join(engine, "Ana", ["admin"])
    other = join(engine, "Zoë", ["investigator"], THEIRS)
    assert [(line.id, line.name, line.roles) for line in list_members(Context(engine, at(engine)))] == [
        (first, "Zoë", ("approver", "publisher")),
        (second, "Ana", ("admin",)),
    ]
    assert [line.id for line in list_members(Context(engine, at(engine, THEIRS)))] == [other]


def test_a_name_is_taken_once(engine: Engine) -> None:
    join(engine)
    with pytest.raises(ConflictError, match="there is a member 'Zoë' already"):
        join(engine)
    assert len(list_members(Context(engine, at(engine)))) == 1


@pytest.mark.parametrize("name", ["system", "cli:root", "member:4", "token:1"])
def test_a_member_is_not_named_like_a_program_of_the_audit_log(engine: Engine, name: str) -> None:
    with pytest.raises(ConfigError, match="uses such names for programs"):
        join(engine, name)


@pytest.mark.parametrize("name", ["", " ", "Zoë ", "a\nb", "\x00", "x" * 201])
def test_names_that_nobody_could_read_are_refused(engine: Engine, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be stored; it must have 1 to 200 characters"):
        join(engine, name)
    assert list_members(Context(engine, at(engine))) == []


@pytest.mark.parametrize(
    "name",
    [
        *("\u0435ve", "ev\u03b5", "\uff45v\u0435", "\ua4f0ve"),
        *("eve\u034f", "eve\ufe0f", "eve\u3164", "eve\u2800", "eve\U0001d159", "eve\u17b4", "eve\u17b5"),
    ],
    ids=[
        *("Cyrillic", "Greek", "full width", "Lisu"),
        *("joiner", "selector", "filler", "blank pattern", "null notehead", "inherent aq", "inherent aa"),
    ],
)
def test_a_name_that_may_be_taken_for_another_is_refused(engine: Engine, name: str) -> None:
    with pytest.raises(ConfigError, match=r"mixes letters of|a sign that is not seen"):
        join(engine, name)


@pytest.mark.parametrize("name", ["eve hope", "EVE HOPE", "\uff45ve hope", "eve \u043d\u043e\u0440\u0435"])
def test_no_two_members_look_alike_even_where_one_has_left(engine: Engine, name: str) -> None:
    first = join(engine, "Eve Hope")
    for left in (False, True):
        if left:
            end_membership(Context(engine, at(engine)), first)
        with pytest.raises(ConflictError, match="'Eve Hope', whose name looks like"):
            join(engine, name)
    assert join(engine, "Eve Hope") == first
    assert join(engine, "\u0415\u0432\u0430 \u041d\u0430\u0434\u0435\u0436\u0434\u0430") != first


@pytest.mark.parametrize(
    ("name", "like"),
    [
        ("Ivo Berg", "Ivo  Berg"),
        ("Ivo Berg", "lvo Berg"),
        ("Ivo Berg", "1vo berg"),
        ("Ivo Berg", "|VO Berg"),
        ("Ana Ilic", "Ana llic"),
        ("Ana-Iva", "Ana\u2010Iva"),
        ("Iva", "Iv\u0251"),
        ("Bill", "B\u0131ll"),
        ("Bill", "Bi\u0307ll"),
        ("Olga", "0lga"),
        ("O'Neil", "O\u2019Neil"),
        ("O'Neil", "O\u00b4Neil"),
        ("Arne", "Ame"),
        ("Arne", "ARNE"),
        ("Clerk 1", "Clerk I"),
        ("\u0406\u0432\u0430", "\u0456\u0432\u0430"),
        ("Otto", "\u1d0f\u1d1b\u1d1b\u1d0f"),
        ("Mary", "Mar\u0263"),
        ("Tony", "\u03a4\u039f\u039d\u03a5"),  # Greek
        ("Hugo", "\u0570\u057d\u0581\u0585"),  # Armenian
        ("Dave", "\u13a0\u13aa\u13d9\u13ac"),  # Cherokee
        ("Monty", "\u2c98\u2c9e\u2c9a\u2ca6\u2ca8"),  # Coptic
        ("Ivo", "\ua4f2\ua4e6\ua4f3"),  # Lisu
        ("Ivo", "\u4e28vo"),  # Han
        ("Olga", "\u3007lga"),  # Han
        ("Ivo", "\u3163v\u3147"),  # Hangul
        ("Tony", "\u3112on\u4e2b"),  # Bopomofo and Han
        ("Ana-Iva", "Ana\u30fcIva"),  # kana
        ("Ana-Iva", "Ana\u4e00Iva"),  # Han
        ("Max", "Ma\u30e1"),  # kana
        ("Max", "Ma\u4e42"),  # Han
        ("Tom", "\u4e01om"),  # Han
        ("Ivo", "\u30a8vo"),  # kana
        ("Luz", "\u3134uz"),  # Hangul
    ],
)
def test_a_name_that_differs_by_what_nobody_sees_is_refused(engine: Engine, name: str, like: str) -> None:
    join(engine, name)
    with pytest.raises(ConflictError, match="whose name looks like"):
        join(engine, like)


@pytest.mark.parametrize(
    "pair",
    [
        ("Alia", "Alla"),
        ("ALIA", "Alla"),
        ("Lan Berg", "Ian Berg"),
        ("Maria L.", "Maria I."),
        ("Lda", "Ida"),
        ("Clerk L", "Clerk 1"),
        ("ARNE", "AME"),
        ("Ivo Berg", "Ivoberg"),
        ("Anna-Iva", "Anna Iva"),
        ("Eve", "\u00c9ve"),
    ],
)
def test_names_that_a_person_tells_apart_are_two_members(engine: Engine, pair: tuple[str, str]) -> None:
    assert join(engine, pair[0]) != join(engine, pair[1])


def test_members_whose_names_looked_alike_before_stay_and_may_come_back(engine: Engine) -> None:
    number = join(engine, "Ivo Berg")
    other = join(engine, "Eva Berg")
    with engine.begin() as connection:
        connection.execute(text("UPDATE members SET name = 'lvo Berg' WHERE id = :number"), {"number": other})
    assert token(engine, "lvo Berg")
    set_roles(Context(engine, at(engine)), other, ["approver"])
    end_membership(Context(engine, at(engine)), other)
    assert join(engine, "lvo Berg") == other
    assert [line.id for line in list_members(Context(engine, at(engine)))] == [number, other]


@pytest.mark.postgresql
def test_who_had_a_name_that_would_be_refused_now_comes_back_by_it(engine: Engine) -> None:
    number = join(engine, "Eva Berg")
    with engine.begin() as connection:
        connection.execute(text("UPDATE members SET name = :name WHERE id = :id"), {"name": "\u0435ve", "id": number})
    with pytest.raises(ConflictError, match="already"):
        join(engine, "\u0435ve")
    end_membership(Context(engine, at(engine)), number)
    assert join(engine, "\u0435ve") == number


@pytest.mark.parametrize(
    "name", ["田中Taro", "张三(Tom)", "한글Kim", "Team东京", "ミラーSmith", "Kimㄅ", "〆木Jun", "田中タロウ"]
)
def test_words_of_east_asia_may_have_latin_letters(engine: Engine, name: str) -> None:
    assert join(engine, name)


def test_a_word_that_mixes_alphabets_names_the_way_out(engine: Engine) -> None:
    words = r"mixes letters of Cyrillic and Latin, .*; write them as two words"
    with pytest.raises(ConfigError, match=words):
        join(engine, "田\u0435ve")
    assert join(engine, "田 \u0435 ve")


@pytest.mark.parametrize("roles", [[], ["app"], ["publisher", "king"]])
def test_roles_that_no_person_has_are_refused(engine: Engine, roles: list[str]) -> None:
    number = join(engine)
    for ask in (lambda: join(engine, "Ana", roles), lambda: set_roles(Context(engine, at(engine)), number, roles)):
        with pytest.raises(
            ConfigError, match="a member has one or more of admin, approver, commercial, investigator, publisher"
        ):
            ask()
    assert [line.roles for line in list_members(Context(engine, at(engine)))] == [("publisher",)]


@pytest.mark.postgresql
def test_all_tokens_of_who_leaves_end_at_once_and_nobody_elses(engine: Engine) -> None:
    number = join(engine, roles=["publisher", "approver"])
    join(engine, "Ana")
    join(engine, organisation=THEIRS)
    gone = [token(engine, role=role) for role in ("publisher", "approver", "publisher")]
    stays = [token(engine, "Ana"), token(engine, organisation=THEIRS), create_token(engine, PLANS, plan="trial")[1]]
    end_membership(Context(engine, at(engine)).at(77), number)
    assert [find_credential(engine, secret) for secret in gone] == [None] * 3
    assert all(find_credential(engine, secret) for secret in stays)
    assert [line.left_us for line in list_members(Context(engine, at(engine)))] == [77, None]
    states = {(line.organisation, line.member): line.state for line in list_tokens(engine, "2026-11")}
    assert states == {
        (OURS, "Zoë"): "revoked",
        (OURS, "Ana"): "live",
        (THEIRS, "Zoë"): "live",
        ("default", ""): "live",
    }


@pytest.mark.parametrize("give_up", [end_membership, partial(set_roles, roles=["approver"])])
def test_the_only_administrator_keeps_the_role_until_there_is_another(
    engine: Engine, give_up: Callable[[Context, int], object]
) -> None:
    """A former administrator and one of another organisation do not count. The operator may do all the same."""
    number = join(engine, roles=["admin", "approver"])
    end_membership(Context(engine, at(engine)), join(engine, "Bo", ["admin"]))
    join(engine, roles=["admin"], organisation=THEIRS)
    acting = Context(engine, find_credential(engine, token(engine, role="admin")).actor)  # type: ignore[union-attr]  # it is there
    with pytest.raises(ConflictError, match="Zoë is the only administrator: give another member the role admin first"):
        give_up(acting, number)
    assert find_credential(engine, token(engine, role="admin"))
    ana = join(engine, "Ana", ["admin"])
    give_up(acting, number)
    give_up(Context(engine, at(engine)), ana)


def test_who_has_left_can_do_nothing_until_they_come_back_as_the_same_member(engine: Engine) -> None:
    number = join(engine)
    secret = token(engine)
    end_membership(Context(engine, at(engine)), number)
    for ask in (
        lambda: end_membership(Context(engine, at(engine)), number),
        lambda: set_roles(Context(engine, at(engine)), number, ["admin"]),
    ):
        with pytest.raises(ConflictError, match=f"member {number} has left"):
            ask()
    with pytest.raises(ConfigError, match="there is no member 'Zoë'"):
        token(engine)
    assert join(engine, roles=["approver"]) == number, "whoever comes back is still whoever asked for something before"
    assert [(line.roles, line.left_us) for line in list_members(Context(engine, at(engine)))] == [(("approver",), None)]
    assert find_credential(engine, secret) is None, "tokens that ended have ended"
    found = find_credential(engine, token(engine, role="approver"))
    assert found is not None
    assert found.actor == Actor(at(engine).organisation_id, f"member:{number}")


def test_a_role_that_is_lost_takes_its_tokens_along(engine: Engine) -> None:
    number = join(engine, roles=["publisher", "approver"])
    lost, kept = token(engine), token(engine, role="approver")
    set_roles(Context(engine, at(engine)), number, ["approver", "admin"])
    assert find_credential(engine, lost) is None
    assert find_credential(engine, kept)
    with pytest.raises(ConfigError, match="'Zoë' does not have the role publisher; theirs: admin, approver"):
        token(engine)
    set_roles(Context(engine, at(engine)), number, ["publisher"])
    assert find_credential(engine, lost) is None, "a role that comes back does not bring them back"


def test_a_credential_needs_the_member_with_the_role_whatever_the_tokens_row_says(engine: Engine) -> None:
    number = join(engine)
    secret = token(engine)
    for column, value in (("left_us", 1), ("left_us", None), ("roles", '["admin"]'), ("roles", '["publisher"]')):
        with Session(engine) as session, session.begin():
            setattr(session.get_one(Member, number), column, value)
        assert (find_credential(engine, secret) is None) is (value in {1, '["admin"]'})


def test_the_same_person_is_the_same_actor_whichever_token_they_use(engine: Engine) -> None:
    number = join(engine, roles=["investigator", "approver"])
    found = [find_credential(engine, token(engine, role=role)) for role in ("investigator", "approver")]
    assert {each.actor.name for each in found if each} == {f"member:{number}"}
    program = find_credential(engine, create_token(engine, PLANS, plan="trial", organisation=OURS)[1])
    assert program is not None
    assert program.actor.name == f"token:{program.token_id}"


@pytest.mark.parametrize(
    ("role", "member", "words"),
    [
        ("king", "", "role is 'king'; it must be one of app, commercial, investigator, approver, publisher, admin"),
        ("admin", "", "a token of the role admin belongs to a member; name the member"),
        ("app", "Zoë", "a token of the role app belongs to a program, not to a member"),
        ("publisher", "Ana", "there is no member 'Ana'; `fivefold members list` shows them"),
        ("approver", "Zoë", "'Zoë' does not have the role approver; theirs: publisher"),
    ],
)
def test_tokens_that_belong_to_nobody_fit_are_refused(engine: Engine, role: str, member: str, words: str) -> None:
    join(engine)
    join(engine, "Ana", organisation=THEIRS)
    with pytest.raises(ConfigError, match=words):
        token(engine, member, role)
    assert list_tokens(engine, "2026-11") == []


def test_another_organisations_members_are_not_there(engine: Engine) -> None:
    number = join(engine, organisation=THEIRS)
    for missing in (number, 10**6):
        with pytest.raises(NotFoundError, match=f"^there is no member {missing}$"):
            set_roles(Context(engine, at(engine)), missing, ["admin"])
        with pytest.raises(NotFoundError, match=f"^there is no member {missing}$"):
            end_membership(Context(engine, at(engine)), missing)
    assert [(line.roles, line.left_us) for line in list_members(Context(engine, at(engine, THEIRS)))] == [
        (("publisher",), None)
    ]


def test_each_change_is_recorded_once_and_names_stay_out_of_the_entries(engine: Engine) -> None:
    number = join(engine)
    token(engine)
    set_roles(Context(engine, at(engine)), number, ["admin", "approver"])
    token(engine, role="admin")
    end_membership(Context(engine, at(engine)), number)
    join(engine, roles=["admin"])
    said = recorded(engine)
    assert [(action, of) for action, of, _ in said] == [
        ("member.added", str(number)),
        ("token.created", "1"),
        ("member.roles_set", str(number)),
        ("token.created", "2"),
        ("member.left", str(number)),
        ("member.returned", str(number)),
    ]
    assert said[1][2]["member"] == number
    changed = [
        {"roles": ["publisher"], "roles_lost": [], "tokens_ended": []},
        {"roles": ["admin", "approver"], "roles_lost": ["publisher"], "tokens_ended": [1]},
        {"roles": ["admin", "approver"], "roles_lost": [], "tokens_ended": [2]},
        {"roles": ["admin"], "roles_lost": [], "tokens_ended": []},
    ]
    assert [details for action, _, details in said if action.startswith("member.")] == changed
    with engine.connect() as connection:
        assert "Zoë" not in repr(connection.execute(select(AuditEntry.__table__)).all())
        assert "Zoë" in repr(connection.execute(select(AuditValues.__table__)).all())
    assert verify(engine, print).findings == 0


@pytest.mark.postgresql
def test_nothing_is_left_of_a_token_that_is_made_while_its_member_leaves(kind: str, tmp_path: Path) -> None:
    """Either it is refused, or it ends with the others: in neither order does it live on."""
    url = databases.new_url(kind, tmp_path)
    with databases.opened(url) as engine:
        for number in range(6):
            name = f"member {number}"
            member = join(engine, name)
            together = threading.Barrier(2)

            def make(name: str = name, together: threading.Barrier = together) -> str | None:
                own = open_database(url)
                together.wait()
                try:
                    return token(own, name)
                except ConfigError:
                    return None
                finally:
                    own.dispose()

            with ThreadPoolExecutor(1) as pool:
                made = pool.submit(make)
                together.wait()
                end_membership(Context(engine, at(engine)), member)
                assert (secret := made.result()) is None or find_credential(engine, secret) is None
        assert {line.state for line in list_tokens(engine, "2026-11")} <= {"revoked"}
