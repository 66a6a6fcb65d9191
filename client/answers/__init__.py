"""What the service answers, as types. Fields that a newer service adds are left out, so that they break nothing."""
