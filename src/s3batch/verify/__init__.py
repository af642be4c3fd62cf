"""Proof: what was compared, what was found, and whether a delete is permitted."""
