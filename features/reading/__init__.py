"""Transactions in: files and rows, read, validated, ordered and converted."""
