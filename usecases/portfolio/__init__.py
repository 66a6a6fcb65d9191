"""Everybody of an organisation: who stands where, who moved, who is found by a word; and what happened about one."""
