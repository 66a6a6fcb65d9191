"""The shared vocabulary: breakdowns, segments, money, time, errors and settings."""
