"""``s3batch version``."""

from __future__ import annotations

import json
import platform
from typing import Annotated

import typer

from s3batch import __version__

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def version(*, as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False) -> None:
    """Print the version of s3batch; with --json those of Python and the platform as well."""
    if as_json:
        document = {"s3batch": __version__, "python": platform.python_version(), "platform": platform.platform()}
        typer.echo(json.dumps(document))
    else:
        typer.echo(__version__)
