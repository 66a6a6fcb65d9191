"""Numbers of things in words."""


def counted(count: int, thing: str, things: str = "") -> str:
    """Write how many there are; *things* are those whose plural has no plain s.

    >>> counted(1, "row"), counted(2_000, "row"), counted(0, "country", "countries")
    ('1 row', '2,000 rows', '0 countries')
    """
    return f"{count:,} {thing if count == 1 else things or f'{thing}s'}"
