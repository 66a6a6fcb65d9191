"""Metrics of the service, the platform and the worker."""
