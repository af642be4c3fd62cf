"""Whole moves through a proxy that does to requests and answers what networks and stores do."""
