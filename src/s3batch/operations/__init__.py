"""What a task does: one file per operation, all of one shape."""
