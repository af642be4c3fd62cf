"""A very fast S3 made of nginx and Lua, to measure what a client costs. `python -m tests.servers.stub` runs one."""
