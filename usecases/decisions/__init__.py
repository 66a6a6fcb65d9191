"""Decisions on transactions, and the policies that make them."""
