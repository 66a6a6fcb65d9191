"""The texts of the pages: each stands where it is shown, in English, and every one is looked up here first.

A translation is a gettext catalogue whose keys are the English texts.
"""

from gettext import NullTranslations
from typing import Any, Final

CATALOGUE: Final = NullTranslations()


def text(message: str, **values: Any) -> str:
    """Give a text in the reader's language, with values in the places that it names.

    >>> text("{count} of {most}", count=3, most=5)
    '3 of 5'
    """
    translation = CATALOGUE.gettext(message)
    return translation.format(**values) if values else translation
