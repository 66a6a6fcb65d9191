"""Thresholds that would bring a portfolio to target shares."""
