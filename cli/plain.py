"""Output for terminals without Unicode: characters are replaced by ASCII."""

import codecs
import sys
import unicodedata

NAME = "fivefold-plain"
_SIGNS = str.maketrans(
    {
        "█": "#",
        "░": "-",
        "━": "=",
        "┊": ":",
        "─": "-",
        "→": "->",
        "…": "...",
        "−": "-",
        "–": "-",
        "×": "x",
        "≥": ">=",
        "≤": "<=",
        "·": "-",
        "€": "EUR",
    }
)


def plain(text: str) -> str:
    """Replace all characters beyond ASCII by similar ones, or by `?`.

    >>> plain("café: 4 → 3 ░░┊██")
    'cafe: 4 -> 3 --:##'
    """
    letters = unicodedata.normalize("NFKD", text.translate(_SIGNS))
    return "".join(sign for sign in letters if not unicodedata.combining(sign)).encode("ascii", "replace").decode()


def write_plainly_where_needed() -> None:
    """Let standard output and error replace characters that their encoding lacks, instead of failing."""
    codecs.register_error(NAME, _replaced)
    for stream in (sys.stdout, sys.stderr):
        change = getattr(stream, "reconfigure", None)
        if change is not None:
            change(errors=NAME)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return plain(error.object[error.start : error.end]), error.end
