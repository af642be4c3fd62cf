"""How the work is cut, before anything is touched."""
