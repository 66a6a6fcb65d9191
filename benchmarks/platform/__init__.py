"""The platform: ingest, event to level, backfill."""
