"""Proposed changes in words: the kind and the subject, which are stored as names."""

from fivefold.console.texts import text


def change_kind(kind: str) -> str:
    """Name a kind of changes, such as `list.versions`; an unknown one stays as it is.

    >>> change_kind("list.versions"), change_kind("unheard")
    ('new version of a list', 'unheard')
    """
    return {
        "rulesets.order": text("new order of rulesets"),
        "ruleset.switch": text("ruleset switched on or off"),
        "ruleset.rollback": text("return to an earlier version of a ruleset"),
        "list.versions": text("new version of a list"),
        "rates.table": text("new exchange rates"),
        "policy.retire": text("end of a policy"),
        "settings.change": text("new settings"),
        "override.revoke": text("end of an override"),
        "fact.tag": text("a tag"),
        "fact.screening": text("a clean screening"),
        "fact.record": text("a case or an alert"),
        "model.promote": text("new value model"),
    }.get(kind, kind)


def change_subject(kind: str, subject: str) -> str:
    """Write the subject of a change; names of settings become words.

    >>> change_subject("settings.change", "challenge_days, retention_days"), change_subject("list.versions", "list pep")
    ('challenge days, retention days', 'list pep')
    """
    return subject.replace("_", " ") if kind == "settings.change" else subject
