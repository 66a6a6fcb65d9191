"""Pages of policies, and of the decisions that they made."""
