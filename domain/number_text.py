"""Shares and counts as text, for pages, pictures and the terminal."""


def percent(share: float, decimals: int = 1) -> str:
    """Write a share between 0 and 1 as a percentage; a share near 0 or 1 is never written as exactly 0 % or 100 %.

    >>> percent(0.25), percent(0.95, 0), percent(0.0), percent(0.00001), percent(0.9999999)
    ('25.0 %', '95 %', '0.0 %', '<0.1 %', '>99.9 %')
    """
    text, step = f"{100 * share:,.{decimals}f}", 10.0**-decimals
    if text.lstrip("-") == f"{0:.{decimals}f}":
        if share == 0:
            return f"{0:.{decimals}f} %"
        return f"<{step:.{decimals}f} %" if share > 0 else f">-{step:.{decimals}f} %"
    if share < 1 and text == f"{100:.{decimals}f}":
        return f">{100 - step:.{decimals}f} %"
    return f"{text} %"


def count_text(count: int, thing: str, things: str = "") -> str:
    """Write a count with its noun; *things* is a plural that is not formed by a plain s.

    >>> count_text(1, "row"), count_text(2_000, "row"), count_text(0, "country", "countries")
    ('1 row', '2,000 rows', '0 countries')
    """
    return f"{count:,} {thing if count == 1 else things or f'{thing}s'}"
