"""What all capabilities use: actors, roles, reasons, quarters, rates, row results and idempotency."""
