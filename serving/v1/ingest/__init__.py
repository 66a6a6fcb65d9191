"""Routes that take entities and facts about them."""
