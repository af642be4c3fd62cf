"""Options in groups: a command takes a few values instead of thirty parameters.

In: a function whose parameters are frozen dataclasses, each field of which is annotated as a Typer parameter. Out: a
function with one flat signature, which Typer reads, and which hands the groups on.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, get_type_hints


def flat(function: Callable[..., None]) -> Callable[..., None]:
    """Return ``function`` with its groups of options spread into single options."""
    group_by_name: dict[str, type[Any]] = {}
    parameters: list[inspect.Parameter] = []
    for name, hint in get_type_hints(function, include_extras=True).items():
        if name == "return":
            continue
        if isinstance(hint, type) and is_dataclass(hint):
            group_by_name[name] = hint
            parameters += _parameters_of(hint)
        else:
            given = inspect.signature(function).parameters[name]
            parameters.append(_parameter(name, given.default, hint))

    @functools.wraps(function)
    def run(**values: Any) -> None:  # noqa: ANN401 - whatever the options' types are
        groups = {
            name: group(**{each.name: values.pop(each.name) for each in fields(group)})
            for name, group in group_by_name.items()
        }
        function(**groups, **values)

    del run.__wrapped__  # else the inner signature would be read
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _parameters_of(group: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [_parameter(each.name, _default(each), hints[each.name]) for each in fields(group)]


def _default(field: Field[Any]) -> Any:  # noqa: ANN401 - of any type
    return inspect.Parameter.empty if field.default is MISSING else field.default


def _parameter(name: str, default: Any, annotation: Any) -> inspect.Parameter:  # noqa: ANN401 - of any type
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
