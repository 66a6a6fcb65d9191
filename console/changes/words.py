"""Proposed changes in words: the kind and the subject, which are stored as names."""

from fivefold.console.texts import text


def change_kind(kind: str) -> str:
    """Name a kind of changes, such as `list.versions`; one that is not known stays as it is.

    >>> change_kind("list.versions"), change_kind("unheard")
    ('new version of a list', 'unheard')
    """
    return {
        "rulesets.order": text("another order of rulesets"),
        "ruleset.switch": text("a ruleset on or off"),
        "ruleset.rollback": text("back to an earlier version of a ruleset"),
        "list.versions": text("new version of a list"),
        "rates.table": text("other exchange rates"),
        "policy.retire": text("a policy that decides no more"),
        "settings.change": text("other settings"),
        "override.revoke": text("end of an override"),
        "fact.tag": text("a tag"),
        "fact.screening": text("a clean screening"),
        "fact.record": text("a case or an alert"),
        "model.promote": text("another value model"),
    }.get(kind, kind)


def change_subject(kind: str, subject: str) -> str:
    """Write the subject of a change; of settings that are stored by name as words.

    >>> change_subject("settings.change", "challenge_days, retention_days"), change_subject("list.versions", "list pep")
    ('challenge days, retention days', 'list pep')
    """
    return subject.replace("_", " ") if kind == "settings.change" else subject
