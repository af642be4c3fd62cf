"""Doing it: the runner that drives jobs and the chunk that it runs."""
