"""Histories in, indicators out: the same definitions for one customer, a file and a data lake."""
