"""The service's answers as types. Fields that a newer service adds are ignored, so they break nothing."""
