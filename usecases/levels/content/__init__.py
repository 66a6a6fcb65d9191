"""The inputs and the breakdown of an assessment, as they are stored and read again."""
