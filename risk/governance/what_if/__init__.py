"""What would move a level: the smallest changes of what a person can change, found by trying the ruleset itself."""
