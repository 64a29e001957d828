"""Linear operators: what a scanner does, `y = A x`.

A `LinearOperator` maps a batch of images to a batch of measurements and back,

    A : (B, *domain) -> (B, *range),      A^H : (B, *range) -> (B, *domain),      <A u, v> = <u, A^H v>.

A subclass writes two methods, `apply_forward` and `apply_adjoint`; composition (`@`), sum (`+`), scaling
(`*`), the adjoint (`A.H`), the normal operator (`A.normal`, A^H A) and the operator norm are derived. The
hand-written adjoint is the autograd backward, in both directions and to any order, so that projectors which
know nothing of torch (ASTRA, NUFFT) can be differentiated through exactly (for a complex A the gradient of a
real loss is A^H g, PyTorch's convention).

Images are real or complex, never channels; a real-domain operator with a complex range takes the real part in
A^H.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast, overload

import torch
from torch import Tensor, nn

from .solve import largest_eigenvalue

Shape = tuple[int, ...]


class LinearOperator(nn.Module):
    """A linear map with an adjoint.

    Args:
        domain: shape of one image, without the batch, e.g. (H, W).
        range: shape of one measurement, without the batch, e.g. (views, detectors).
        domain_complex: whether images are complex.
        range_complex: whether measurements are complex.
    """

    def __init__(
        self,
        domain: Sequence[int],
        range: Sequence[int],
        *,
        domain_complex: bool = False,
        range_complex: bool = False,
    ) -> None:
        super().__init__()
        self.domain: Shape = tuple(domain)
        self.range: Shape = tuple(range)
        self.domain_complex = domain_complex
        self.range_complex = range_complex

    # --- what a subclass writes
    def apply_forward(self, x: Tensor) -> Tensor:
        """A x: (B, *domain) -> (B, *range)."""
        raise NotImplementedError

    def apply_adjoint(self, y: Tensor) -> Tensor:
        """A^H y: (B, *range) -> (B, *domain)."""
        raise NotImplementedError

    def repeat(self, n: int) -> LinearOperator:
        """The operator for a batch in which every item stands n times in a row (`x.repeat_interleave(n, 0)`).
        Only operators that hold something per item (coil maps, masks) need to override this."""
        return self

    def items(self, index: slice) -> LinearOperator:
        """The operator for a part of the batch, `x[index]`. Override together with `repeat`."""
        return self

    def filled(self, y: Tensor) -> tuple[LinearOperator, Tensor]:
        """A measurement whose lost numbers are interpolated, and its operator: what a few iterations can begin with.
        Only operators that know of lost numbers (lost rays) need to override this."""
        return self, y

    # --- what everybody calls
    def forward(self, x: Tensor) -> Tensor:
        """A x, differentiable. Raises ValueError for a wrong shape or a complex image in a real operator."""
        self._check(x, self.domain, self.domain_complex, "an image")
        return cast(Tensor, _Apply.apply(x, self, False))

    def adjoint(self, y: Tensor) -> Tensor:
        """A^H y, differentiable. Raises ValueError for a wrong shape."""
        self._check(y, self.range, self.range_complex, "a measurement")
        return cast(Tensor, _Apply.apply(y, self, True))

    def normal(self, x: Tensor) -> Tensor:
        """A^H A x."""
        return self.adjoint(self(x))

    @property
    def H(self) -> LinearOperator:
        """The adjoint as an operator."""
        return Adjoint(self)

    @property
    def device(self) -> torch.device:
        """Where the operator's tensors live (CPU for an operator without any)."""
        for tensor in [*self.buffers(), *self.parameters()]:
            return tensor.device
        return torch.device("cpu")

    def norm(self, iterations: int = 20, seed: int = 0) -> float:
        """||A||_2, the largest singular value, by the power method on A^H A from a seeded random image. Where A holds
        something per item, of the first item."""
        generator = torch.Generator().manual_seed(seed)
        dtype = torch.complex64 if self.domain_complex else torch.float32
        x = torch.randn(1, *self.domain, generator=generator, dtype=dtype).to(self.device)
        return float(largest_eigenvalue(self.items(slice(0, 1)).normal, x, iterations).sqrt())

    @overload
    def __matmul__(self, other: LinearOperator) -> LinearOperator: ...

    @overload
    def __matmul__(self, other: Tensor) -> Tensor: ...

    def __matmul__(self, other: LinearOperator | Tensor) -> LinearOperator | Tensor:
        """A @ B, the composition, or A @ x, the same as A(x)."""
        if isinstance(other, LinearOperator):
            return Composition(self, other)
        return self(other)

    def __add__(self, other: LinearOperator) -> LinearOperator:
        return Sum(self, other)

    def __mul__(self, factor: complex | Tensor) -> LinearOperator:
        return Scaled(self, factor)

    __rmul__ = __mul__

    def __repr__(self) -> str:
        kinds = ("complex" if self.domain_complex else "real", "complex" if self.range_complex else "real")
        return f"{type(self).__name__}({kinds[0]} {self.domain} -> {kinds[1]} {self.range})"

    def _check(self, x: Tensor, expected: Shape, is_complex: bool, what: str) -> None:
        if x.ndim != len(expected) + 1 or tuple(x.shape[1:]) != expected:
            raise ValueError(
                f"{type(self).__name__}: got {what} of shape {tuple(x.shape)}, expected "
                f"(batch, {', '.join(map(str, expected))}); "
                "add or remove the batch dimension, or rebuild the operator"
            )
        if x.is_complex() and not is_complex:
            raise ValueError(
                f"{type(self).__name__}: got complex data for {what} of a real operator; "
                "pass x.real or x.abs()"
            )


class _Apply(torch.autograd.Function):
    """A or A^H with the other one as backward. Recursive, so that second derivatives work too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, operator: LinearOperator, adjoint: bool) -> Tensor:  # type: ignore[override]
        ctx.operator, ctx.adjoint, ctx.x_complex = operator, adjoint, x.is_complex()
        return operator.apply_adjoint(x) if adjoint else operator.apply_forward(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        g = cast(Tensor, _Apply.apply(grad, ctx.operator, not ctx.adjoint))
        return (g if ctx.x_complex or not g.is_complex() else g.real), None, None


class Identity(LinearOperator):
    """x -> x."""

    def __init__(self, domain: Sequence[int], *, is_complex: bool = False) -> None:
        super().__init__(domain, domain, domain_complex=is_complex, range_complex=is_complex)

    def apply_forward(self, x: Tensor) -> Tensor:
        return x.clone()

    def apply_adjoint(self, y: Tensor) -> Tensor:
        return y.clone()


class Adjoint(LinearOperator):
    """A^H as an operator."""

    def __init__(self, operator: LinearOperator) -> None:
        super().__init__(
            operator.range,
            operator.domain,
            domain_complex=operator.range_complex,
            range_complex=operator.domain_complex,
        )
        self.operator = operator

    def apply_forward(self, x: Tensor) -> Tensor:
        return self.operator.apply_adjoint(x)

    def apply_adjoint(self, y: Tensor) -> Tensor:
        return self.operator.apply_forward(y)

    def repeat(self, n: int) -> LinearOperator:
        return Adjoint(self.operator.repeat(n))

    def items(self, index: slice) -> LinearOperator:
        return Adjoint(self.operator.items(index))

    @property
    def H(self) -> LinearOperator:
        return self.operator


class Composition(LinearOperator):
    """A @ B: B first."""

    def __init__(self, outer: LinearOperator, inner: LinearOperator) -> None:
        if outer.domain != inner.range or (inner.range_complex and not outer.domain_complex):
            raise ValueError(
                f"cannot compose {outer!r} @ {inner!r}: the range of the second is not the first's domain"
            )
        super().__init__(
            inner.domain,
            outer.range,
            domain_complex=inner.domain_complex,
            range_complex=outer.range_complex,
        )
        self.outer, self.inner = outer, inner

    def apply_forward(self, x: Tensor) -> Tensor:
        return self.outer.apply_forward(self.inner.apply_forward(x))

    def apply_adjoint(self, y: Tensor) -> Tensor:
        x = self.outer.apply_adjoint(y)
        return self.inner.apply_adjoint(x if self.inner.range_complex or not x.is_complex() else x.real)

    def repeat(self, n: int) -> LinearOperator:
        return Composition(self.outer.repeat(n), self.inner.repeat(n))

    def items(self, index: slice) -> LinearOperator:
        return Composition(self.outer.items(index), self.inner.items(index))

    def __repr__(self) -> str:
        return f"{self.outer!r} @ {self.inner!r}"


class Sum(LinearOperator):
    """A + B."""

    def __init__(self, first: LinearOperator, second: LinearOperator) -> None:
        spaces = [(operator.domain, operator.domain_complex, operator.range) for operator in (first, second)]
        if spaces[0] != spaces[1]:
            raise ValueError(f"cannot add {first!r} and {second!r}: their domains or shapes differ")
        super().__init__(
            first.domain,
            first.range,
            domain_complex=first.domain_complex,
            range_complex=first.range_complex or second.range_complex,
        )
        self.first, self.second = first, second

    def apply_forward(self, x: Tensor) -> Tensor:
        return self.first.apply_forward(x) + self.second.apply_forward(x)

    def apply_adjoint(self, y: Tensor) -> Tensor:
        first, second = (
            operator.apply_adjoint(y if operator.range_complex or not y.is_complex() else y.real)
            for operator in (self.first, self.second)
        )
        return first + second

    def repeat(self, n: int) -> LinearOperator:
        return Sum(self.first.repeat(n), self.second.repeat(n))

    def items(self, index: slice) -> LinearOperator:
        return Sum(self.first.items(index), self.second.items(index))


class Scaled(LinearOperator):
    """w * A: a number, or a weight per measurement (broadcastable to (B, *range), e.g. the square root of the
    statistical weights)."""

    def __init__(self, operator: LinearOperator, factor: complex | Tensor) -> None:
        factor = torch.as_tensor(factor)
        super().__init__(
            operator.domain,
            operator.range,
            domain_complex=operator.domain_complex,
            range_complex=operator.range_complex or factor.is_complex(),
        )
        self.operator = operator
        self.factor: Tensor
        self.register_buffer("factor", factor)

    def apply_forward(self, x: Tensor) -> Tensor:
        return self.factor * self.operator.apply_forward(x)

    def apply_adjoint(self, y: Tensor) -> Tensor:
        weighted = self.factor.conj() * y
        real = weighted.is_complex() and not self.operator.range_complex
        return self.operator.apply_adjoint(weighted.real if real else weighted)

    def _per_item(self) -> bool:
        return self.factor.ndim == len(self.range) + 1 and self.factor.shape[0] > 1

    def repeat(self, n: int) -> LinearOperator:
        factor = self.factor.repeat_interleave(n, 0) if self._per_item() else self.factor
        return Scaled(self.operator.repeat(n), factor)

    def items(self, index: slice) -> LinearOperator:
        return Scaled(self.operator.items(index), self.factor[index] if self._per_item() else self.factor)
