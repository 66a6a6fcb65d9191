"""Queries about levels, the assessment queue and leases."""
