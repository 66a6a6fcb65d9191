"""Changes of what decides: one person proposes, another approves."""
