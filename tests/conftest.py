"""What all tests share: the servers of tests/servers."""

pytest_plugins = ["tests.servers.fixtures"]
