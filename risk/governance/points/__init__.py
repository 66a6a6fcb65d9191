"""Learns points from confirmed cases, within the existing rules."""
