"""Shares as people read them: one way to write a percentage in pages, pictures and the terminal."""


def percent(share: float, decimals: int = 1) -> str:
    """Write a share between 0 and 1 as a percentage; what is not quite nothing or all is never written as such.

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
