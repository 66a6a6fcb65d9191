"""Imports of whole data sets, on both databases."""
