"""Replay of a flow's version over history, as a worker makes it before the version is activated; nothing acts."""
