"""The audit log: written with every change, read page by page, and verified."""
