"""Routes of members, settings, lists and exchange rates."""
