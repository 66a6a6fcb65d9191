"""Erasure of personal data, legal holds, and the register of both."""
