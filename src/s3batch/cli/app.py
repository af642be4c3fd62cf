"""The command line's front door: finds the verb, loads its module, and turns errors into exit codes."""

from __future__ import annotations

import gc
import os
import sys
from typing import Any, ClassVar

import typer

from s3batch import __version__
from s3batch.cli.errors import report_document, report_error
from s3batch.cli.lazy import LazyGroup
from s3batch.config import file_defaults
from s3batch.model.errors import S3BatchError, UsageError

VERBS: dict[str, tuple[str, str]] = {
    "manifest": ("s3batch.cli.manifest", "Make and show manifests: lists of objects."),
    "check": ("s3batch.cli.check", "Look at a source and a target before a copy or move."),
    "copy": ("s3batch.cli.copy", "Copy objects, each pinned to what the manifest names."),
    "verify": ("s3batch.cli.verify", "Prove that copies are the objects."),
    "delete": ("s3batch.cli.delete", "Delete objects whose copies were proven."),
    "move": ("s3batch.cli.move", "Copy, verify, then delete the originals."),
    "jobs": ("s3batch.cli.jobs", "List, follow and steer jobs; read their reports."),
    "runner": ("s3batch.cli.runner", "Serve the ledger in the foreground."),
    "iam-policy": ("s3batch.cli.iam_policy", "Write the least IAM policy for a step of a job."),
    "config": ("s3batch.cli.config", "Show every setting and where it came from."),
    "demo": ("s3batch.cli.demo", "See the main job on a small archive of its own."),
    "version": ("s3batch.cli.version", "Print the version."),
}
"""Verb -> module with an ``app``, and what the verb does."""

INTERRUPTED = 130

_GC_ALLOCATIONS = 50_000
"""Objects made between two looks for garbage in cycles. At Python's own 700 the looks cost 1 us a listed key and a
tenth of the start (measured 2026-11): pages are long lists without cycles."""

_GROUPS = frozenset({"manifest", "jobs", "config"})
_COMMANDS_OF_GROUPS = ("create", "show", "list", "watch", "confirm", "pause", "resume", "cancel", "report", "retry")
"""Where the settings file's values must be found again: a group hands them on by its commands' names."""

_CommandLineError: Any = next(each for each in typer.BadParameter.__mro__ if each.__name__ == "ClickException")
"""What Typer raises for wrong words; named so because later versions of Typer have their own copy of Click."""


class Verbs(LazyGroup):
    """The verbs, loaded when they are called."""

    modules: ClassVar = VERBS


app = typer.Typer(
    cls=Verbs,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _print_version(*, value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback(
    epilog="Exit codes: 0 every task succeeded; 1 some failed; 2 usage; 3 differences found or sources kept;"
    " 4 refused, nothing started; 5 store or ledger unavailable; 130 interrupted, the job is paused."
)
def s3batch(
    context: typer.Context,
    *,
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),  # noqa: ARG001
) -> None:
    """Durable, verified bulk operations on S3 objects, on any S3-compatible store."""
    defaults = file_defaults(os.environ)
    below = dict.fromkeys(_COMMANDS_OF_GROUPS, defaults)
    context.default_map = {verb: {**defaults, **below} if verb in _GROUPS else defaults for verb in VERBS}


def main() -> None:
    """Run the command line; never shows a traceback for a user's mistake."""
    as_json = "--json" in sys.argv
    gc.set_threshold(_GC_ALLOCATIONS)
    try:
        code = app(prog_name="s3batch", standalone_mode=False)
    except S3BatchError as error:
        report_error(error, as_json=as_json)
        sys.exit(error.exit_code)
    except _CommandLineError as error:
        error.show()
        if as_json:
            report_document(UsageError(error.format_message()))
        sys.exit(error.exit_code)
    except typer.Abort:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)
