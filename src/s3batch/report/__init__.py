"""What happened: completion reports, summaries and mappings."""
