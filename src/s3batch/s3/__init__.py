"""The object store: transport, signing, typed calls, listing; the performance core."""
