"""What a person concerned may know: what would move their level, and why it is what it is."""
