"""Webhooks: endpoints, keys, addresses, delivery and dead letters."""
