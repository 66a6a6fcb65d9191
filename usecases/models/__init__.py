"""Versions of the value model: what training stored with each, and every promotion."""
