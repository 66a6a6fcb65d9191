"""The handlers of `/v1`, by capability: each gives what a use case gave."""
