"""Mutants of a module: its source with one small change each.

A comparison negated or moved by one, ``and`` and ``or`` swapped, an operand or a ``not`` dropped, a branch taken always
or never, a number changed, a code replaced, an argument of its own turned round. In: source text. Out: named trees, and
modules made of them.
"""

import ast
import copy
import sys
import types
from collections.abc import Callable, Iterator

_NEGATED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
}
_MOVED: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}

Change = Callable[[ast.AST], ast.AST]


def _changes(node: ast.AST) -> Iterator[tuple[str, Change]]:  # noqa: C901 - one branch for each kind of node
    """Yield the changes that make sense for a node; each takes a copy of it and returns what stands in its place."""
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            for table in (_NEGATED, _MOVED):
                if type(operator) in table:
                    yield f"{type(operator).__name__} at {place}", _with_operator(place, table[type(operator)])
    elif isinstance(node, ast.BoolOp):
        other = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield "and/or", lambda copied: ast.BoolOp(op=other(), values=copied.values)  # type: ignore[attr-defined]
        for place in range(len(node.values)):
            yield f"operand {place} dropped", _without_operand(place)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not dropped", lambda copied: copied.operand  # type: ignore[attr-defined]
    elif isinstance(node, ast.If | ast.IfExp):
        yield "taken always", _with_test(outcome=True)
        yield "taken never", _with_test(outcome=False)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int) and not isinstance(node.value, bool):
        yield "number", lambda copied: ast.Constant(value=copied.value + 1)  # type: ignore[attr-defined]
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Code":
        yield "code", lambda copied: ast.Attribute(value=ast.Name("Code", ast.Load()), attr="SKIPPED", ctx=copied.ctx)  # type: ignore[attr-defined]


def _with_operator(place: int, operator: type[ast.cmpop]) -> Change:
    def change(copied: ast.AST) -> ast.AST:
        assert isinstance(copied, ast.Compare)
        copied.ops[place] = operator()
        return copied

    return change


def _without_operand(place: int) -> Change:
    def change(copied: ast.AST) -> ast.AST:
        assert isinstance(copied, ast.BoolOp)
        values = copied.values[:place] + copied.values[place + 1 :]
        return values[0] if len(values) == 1 else ast.BoolOp(op=copied.op, values=values)

    return change


def _with_test(*, outcome: bool) -> Change:
    def change(copied: ast.AST) -> ast.AST:
        assert isinstance(copied, ast.If | ast.IfExp)
        copied.test = ast.Constant(value=outcome)
        return copied

    return change


class _Replace(ast.NodeTransformer):
    """Puts the changed node in the place of the numbered one."""

    def __init__(self, number: int, change: Change) -> None:
        self._number = number
        self._change = change
        self._seen = -1

    def visit(self, node: ast.AST) -> ast.AST:
        """Count nodes in the order of the walk that listed them."""
        self._seen += 1
        if self._seen == self._number:
            return self._change(node)
        return super().visit(node)  # type: ignore[no-any-return]


def _numbered(tree: ast.AST) -> Iterator[tuple[int, ast.AST]]:
    """Yield the nodes in the order in which a transformer visits them."""
    nodes: list[ast.AST] = []

    class Collect(ast.NodeVisitor):
        def visit(self, node: ast.AST) -> None:
            nodes.append(node)
            self.generic_visit(node)

    Collect().visit(tree)
    yield from enumerate(nodes)


def mutants_of(source: str) -> list[tuple[str, ast.Module]]:
    """Return each mutant with what was changed."""
    tree = ast.parse(source)
    found = []
    for number, node in _numbered(tree):
        for what, change in _changes(node):
            mutant = ast.fix_missing_locations(_Replace(number, change).visit(copy.deepcopy(tree)))
            assert isinstance(mutant, ast.Module)
            line = getattr(node, "lineno", 0)
            found.append((f"line {line}: {what} in {ast.unparse(node).splitlines()[0]}", mutant))
    return found


def is_noticed(mutant: ast.Module, wrong_lines: Callable[[types.ModuleType], Iterator[str]]) -> bool:
    """Tell whether a decision table, or an error, shows that this is not the original."""
    module = types.ModuleType("mutated")
    sys.modules[module.__name__] = module  # dataclasses look their module up
    try:
        exec(compile(mutant, "mutated", "exec"), module.__dict__)  # noqa: S102 - our own source, changed above
        return any(wrong_lines(module))
    except (AttributeError, IndexError, TypeError, ValueError):
        return True
    finally:
        del sys.modules[module.__name__]
