"""Which objects: reading, generating, normalising and writing manifests."""
