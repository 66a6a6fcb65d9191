"""Queries about the outbox, endpoints and deliveries."""
