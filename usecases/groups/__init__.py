"""Named groups: written by one person, approved by another; who is a member, and how many they are."""
