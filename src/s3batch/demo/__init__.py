"""The main job, end to end, on a small archive in an S3 server of its own."""
