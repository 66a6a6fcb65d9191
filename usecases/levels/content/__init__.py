"""What an assessment was made from, and its breakdown: as they are stored, and read again."""
