"""S3 servers for tests and measurements: real ones, a stub, and a proxy that injects faults; on loopback only."""
