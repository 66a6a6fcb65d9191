"""What a compliance team does with flows beside running them: compare them, and try how much their examples notice."""
