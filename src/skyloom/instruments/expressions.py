"""A small expression language over a header, for what a keyword alone does not say.

Only what is listed here is understood: constants, header keywords, arithmetic, comparison, `and`, `or`, `not`,
``a if c else b``, slices, and the functions of `FUNCTIONS`.  Nothing is ever handed to ``eval``.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any, TypeGuard

from astropy.time import Time

from .quantities import parse_angle

__all__ = ["FUNCTIONS", "Expression", "MissingKeywordError", "is_true"]

_MAX_EXPONENT = 64
_MAX_TEXT = 4096


class MissingKeywordError(LookupError):
    """A keyword that an expression needs is not in the header."""

    def __init__(self, keyword: str) -> None:
        super().__init__(keyword)
        self.keyword = keyword


def _match(pattern: str, text: Any, group: int = 1) -> str:
    """The part of ``text`` that a group of a regular expression matched."""
    found = re.search(pattern, str(text))
    if found is None:
        raise ValueError(f"{text!r} does not match {pattern!r}")
    return found.group(group)


def _mjd(text: Any) -> float:
    """Modified Julian Date of ISO text, in the text's own time scale."""
    return float(Time(str(text).strip().replace(" ", "T"), format="isot", scale="tai").mjd)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "dms": lambda text: parse_angle(text, "deg"),
    "float": float,
    "hms": lambda text: parse_angle(text, "hourangle"),
    "int": lambda value: int(value) if not isinstance(value, str) or "." not in value else int(float(value)),
    "len": len,
    "lower": lambda text: str(text).lower(),
    "match": _match,
    "max": max,
    "min": min,
    "mjd": _mjd,
    "round": round,
    "str": str,
    "strip": lambda text: str(text).strip(),
    "upper": lambda text: str(text).upper(),
}
"""Functions of the language; `has(keyword)` and `get(keyword, default)` come on top."""

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_NODES = (
    ast.Expression,
    ast.Constant,
    ast.Name,
    ast.Load,
    ast.BinOp,
    ast.UnaryOp,
    ast.BoolOp,
    ast.And,
    ast.Or,
    ast.Compare,
    ast.IfExp,
    ast.Call,
    ast.Subscript,
    ast.Slice,
    ast.Tuple,
    *_BINARY,
    *_UNARY,
    *_COMPARE,
)


class Expression:
    """One expression, checked when it is made.

    A bare name is a header keyword; ``header['DATE-OBS']`` reaches those that are no identifiers; ``file`` is the
    name of the file, without its folder.

    Raises
    ------
    ValueError
        If the text uses anything that the language does not have.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except SyntaxError as error:
            raise ValueError(f"cannot read the expression {text!r}: {error.msg}") from error
        for node in ast.walk(self._tree):
            self._check(node)

    def _check(self, node: ast.AST) -> None:
        """Refuse what the language does not have."""
        if not isinstance(node, _NODES):
            raise ValueError(f"the expression {self.text!r} uses {type(node).__name__}, which is not allowed")
        if isinstance(node, ast.Call):
            known = isinstance(node.func, ast.Name) and (node.func.id in FUNCTIONS or node.func.id in ("has", "get"))
            if not known or node.keywords:
                names = ", ".join(sorted([*FUNCTIONS, "has", "get"]))
                raise ValueError(f"the expression {self.text!r} calls an unknown function; known are {names}")
        if isinstance(node, ast.Name) and node.id.startswith("_"):
            raise ValueError(f"the expression {self.text!r} uses the name {node.id!r}, which is not allowed")

    @property
    def keywords(self) -> list[str]:
        """Header keywords that the expression reads, in the order of the text."""
        called = {id(node.func) for node in ast.walk(self._tree) if isinstance(node, ast.Call)}
        found = []
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Name) and id(node) not in called and node.id not in ("header", "file"):
                found.append((node.lineno, node.col_offset, node.id))
            elif _is_header_item(node):
                found.append((node.lineno, node.col_offset, str(ast.literal_eval(node.slice))))
        return list(dict.fromkeys(name for _, _, name in sorted(found)))

    def evaluate(self, header: Mapping[str, Any], file: str) -> Any:
        """Value of the expression for one header.

        Raises
        ------
        MissingKeywordError
            If the header lacks a keyword.
        ValueError
            If a value cannot be computed with.
        """
        try:
            return _Evaluation(header, PurePath(file).name).value(self._tree)
        except (TypeError, ArithmeticError, IndexError, KeyError, re.error) as error:
            if isinstance(error, MissingKeywordError):
                raise
            raise ValueError(f"the expression {self.text!r} failed: {error}") from error


def is_true(text: str, header: Mapping[str, Any], file: str) -> bool:
    """Whether an expression holds for a header; one that cannot be worked out does not."""
    try:
        return bool(Expression(text).evaluate(header, file))
    except (MissingKeywordError, ValueError):
        return False


def _is_header_item(node: ast.AST) -> TypeGuard[ast.Subscript]:
    """Whether a node is ``header['KEYWORD']``."""
    if not isinstance(node, ast.Subscript) or not isinstance(node.slice, ast.Constant):
        return False
    return isinstance(node.value, ast.Name) and node.value.id == "header"


class _Evaluation:
    """Walks the checked tree for one header."""

    def __init__(self, header: Mapping[str, Any], file: str) -> None:
        self._header = header
        self._file = file

    def value(self, node: ast.expr) -> Any:
        """Value of a node."""
        walk: Callable[[Any], Any] = getattr(self, f"_{type(node).__name__.lower()}")
        return walk(node)

    def _lookup(self, keyword: str) -> Any:
        if keyword not in self._header:
            raise MissingKeywordError(keyword)
        return self._header[keyword]

    def _constant(self, node: ast.Constant) -> Any:
        return node.value

    def _tuple(self, node: ast.Tuple) -> Any:
        return tuple(self.value(item) for item in node.elts)

    def _name(self, node: ast.Name) -> Any:
        if node.id == "header":
            raise ValueError("`header` needs a keyword: header['DATE-OBS']")
        return self._file if node.id == "file" else self._lookup(node.id)

    def _binop(self, node: ast.BinOp) -> Any:
        left, right = self.value(node.left), self.value(node.right)
        if isinstance(node.op, ast.Pow) and abs(right) > _MAX_EXPONENT:
            raise ValueError(f"exponent {right} is too large")
        if isinstance(node.op, ast.Mod) and isinstance(left, str):
            raise ValueError("% formats no text here")
        if isinstance(node.op, ast.Mult) and (isinstance(left, str) or isinstance(right, str)):
            raise ValueError("text cannot be multiplied")
        result = _BINARY[type(node.op)](left, right)
        if isinstance(result, str) and len(result) > _MAX_TEXT:
            raise ValueError("the text grew too long")
        return result

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        return _UNARY[type(node.op)](self.value(node.operand))

    def _boolop(self, node: ast.BoolOp) -> Any:
        stop = isinstance(node.op, ast.Or)
        result: Any = None
        for part in node.values:
            result = self.value(part)
            if bool(result) is stop:
                break
        return result

    def _compare(self, node: ast.Compare) -> bool:
        left = self.value(node.left)
        for comparison, part in zip(node.ops, node.comparators, strict=True):
            right = self.value(part)
            if not _COMPARE[type(comparison)](left, right):
                return False
            left = right
        return True

    def _ifexp(self, node: ast.IfExp) -> Any:
        return self.value(node.body if self.value(node.test) else node.orelse)

    def _subscript(self, node: ast.Subscript) -> Any:
        if isinstance(node.value, ast.Name) and node.value.id == "header":
            return self._lookup(str(self.value(node.slice)))
        container = self.value(node.value)
        if isinstance(node.slice, ast.Slice):
            limits = [None if part is None else self.value(part) for part in (node.slice.lower, node.slice.upper)]
            return container[limits[0] : limits[1]]
        return container[self.value(node.slice)]

    def _call(self, node: ast.Call) -> Any:
        assert isinstance(node.func, ast.Name)  # checked when the expression was made
        name = node.func.id
        arguments = [self.value(argument) for argument in node.args]
        if name == "has":
            return arguments[0] in self._header
        if name == "get":
            return self._header.get(arguments[0], arguments[1])
        return FUNCTIONS[name](*arguments)
