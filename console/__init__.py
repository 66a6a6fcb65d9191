"""The console: pages for people, over the use cases that `/v1` calls."""
