"""Each way to lose data, tried on a real server with the real command (docs/safety.md)."""
