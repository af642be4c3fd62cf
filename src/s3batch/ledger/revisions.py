"""The revisions of the ledger's schema, apart from the schema so that a glance at a ledger need not load it."""

REVISIONS = ("0001", "0002")
"""Every revision, oldest first. The last one is what ``ledger/schema.py`` describes."""
