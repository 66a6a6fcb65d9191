"""Named groups: written by one person, approved by another; their members and sizes."""
