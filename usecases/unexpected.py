"""Errors of any kind, for where one must not hold up or end others."""

from polars.exceptions import PanicException

UNEXPECTED_ERRORS = (Exception, PanicException)
"""Polars has an error that is no subclass of Exception: uncaught, it would end a thread unseen."""
