"""Rows into histories: those that were checked, and those that come in order, which are checked on the way."""
