"""``python -m s3batch``: the command line."""

from __future__ import annotations

from s3batch.cli.app import main

if __name__ == "__main__":
    main()
