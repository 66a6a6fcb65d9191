"""Decision flows: steps that calculate, route, look up and ask, and end in actions."""
