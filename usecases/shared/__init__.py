"""What all capabilities share: actors, roles, reasons, quarters, rates, row results and idempotency."""
