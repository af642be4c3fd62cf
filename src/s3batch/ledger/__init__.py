"""The durable memory: jobs, chunks and the segments that hold outcomes."""
