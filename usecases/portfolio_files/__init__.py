"""Portfolios from files: read, assessed and governed by rulesets, without a database."""
