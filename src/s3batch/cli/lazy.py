"""Modules that are loaded when they are needed: those of commands, and of functions that most commands never call.

In: a table of names, modules and summaries; or a module's and a function's name. This is the one place that imports
inside a function; the modules that it loads import at their top. Start-up is 2 s of CPU when everything is loaded
everywhere, as much as the work of a job of 50,000 objects (measured 2026-11).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup


def deferred(module: str, name: str) -> Callable[..., Any]:
    """Return a stand-in for a module's function or class: the module is loaded when it is called first."""

    def call(*args: object, **options: object) -> object:
        return getattr(import_module(module), name)(*args, **options)

    return call


class LazyGroup(TyperGroup):
    """Subclass it with a table; commands that are registered as usual come before those of the table."""

    modules: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """Name -> module with an ``app``, and what the command does."""

    _is_naming = False
    """Only names and summaries are wanted: stand-ins do."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - Typer's own context type is private
        """Return the names in the order of the table."""
        return [*super().list_commands(ctx), *self.modules]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401
        """Load a command's module and return the command."""
        if cmd_name not in self.modules:
            return super().get_command(ctx, cmd_name)
        module, summary = self.modules[cmd_name]
        if self._is_naming:
            return TyperCommand(name=cmd_name, help=summary)
        command: Any = typer.main.get_command(import_module(module).app)
        if cmd_name in getattr(command, "commands", {}):  # one module may hold several of this group's commands
            return command.commands[cmd_name]
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401
        """Find the command that was typed; say which may have been meant where there is none."""
        names = self.list_commands(ctx)
        similar = difflib.get_close_matches(args[0], names, n=1)
        if args[0] not in names and similar and not args[0].startswith("-"):
            ctx.fail(f"No such command {args[0]!r}. Is {similar[0]} meant?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        """Write the table of commands without loading any."""
        with self._naming():
            super().format_commands(ctx, formatter)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:  # noqa: ANN401
        """Complete names without loading the modules behind them."""
        with self._naming():
            return super().shell_complete(ctx, incomplete)

    @contextmanager
    def _naming(self) -> Iterator[None]:
        self._is_naming = True
        try:
            yield
        finally:
            self._is_naming = False
