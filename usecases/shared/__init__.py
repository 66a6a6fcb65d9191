"""The shared parts of all capabilities: actors, roles, reasons, quarters, rates, row results and idempotency."""
