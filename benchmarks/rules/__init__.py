"""Rules: the engine beside hand-written expressions and decision tables."""
