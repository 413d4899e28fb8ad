"""The terms of polynomials of two variables, by total degree."""

from __future__ import annotations

__all__ = ["n_terms", "powers"]


def powers(order: int) -> list[tuple[int, int]]:
    """The exponents or degrees (p, q) with p + q <= order: the constant, the linear terms, and so on.

    A lower order is a beginning.
    """
    return [(degree - q, q) for degree in range(order + 1) for q in range(degree + 1)]


def n_terms(order: int) -> int:
    """Number of terms of a polynomial of a total degree."""
    return (order + 1) * (order + 2) // 2
