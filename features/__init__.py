"""Histories in, indicators out: one definition for one customer, a file and a data lake."""
