"""Queries over all entities of an organisation: current levels, moves, search."""
