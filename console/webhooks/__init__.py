"""Pages of events that are sent to other systems."""
