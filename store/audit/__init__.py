"""Queries about the audit log, its chain, and the history that it seals."""
