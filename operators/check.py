"""The operator contract: what every `LinearOperator` promises, measured.

    dot               |<A u, v> - <u, A^H v>| / (||A u|| ||v||), the worst item: the adjoint is the adjoint
    linear            ||A (a u + b w) - a A u - b A w|| / ||A u||, and for A^H; a, b complex where both sides are
    gradient          ||grad_u (1/2 ||A u||^2) - A^H A u|| / ||A^H A u||: autograd's backward is the adjoint
    gradient_adjoint  the same for A^H
    gradient_second   ||grad_u <grad_u (1/2 ||A u||^2), w> - A^H A w|| / ||A^H A w||, and for A^H
    items             an item's result in the batch against `A.items` on the item alone, A and A^H
    repeat            `A.repeat(2)` on repeated images against the repeated results, A and A^H
    shapes            number of wrong inputs accepted: no batch, a wrong extent, a dimension too many

In float32 all are some 1e-7 for an operator that keeps the contract, and `shapes` is 0. The items of the test
images have very different scales, and each item is judged by its own, so that a batch-wide norm inside an
operator shows. `check_operator` raises where one is larger.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .linear import LinearOperator

FAULTS = {  # defect -> what is wrong with the operator, and what to do
    "dot": "apply_adjoint is not the adjoint of apply_forward; it must be the conjugate transpose",
    "linear": "it is not linear; leave offsets, clipping and absolute values out of it",
    "gradient": "the gradient of a loss is not A^H of the residual; do not override forward",
    "gradient_adjoint": "the gradient through A^H is not A of the residual; do not override adjoint",
    "gradient_second": "second derivatives are wrong; do not override forward or adjoint",
    "items": "an item's result depends on its batch mates, or `items` keeps the wrong part of what it holds per item",
    "repeat": "`repeat` puts what it holds per item in the wrong order; expected repeat_interleave(n, 0)",
    "shapes": "inputs of a wrong shape are accepted; do not override _check",
}


class OperatorError(ValueError):
    """An operator that breaks the contract. `defects`: all figures by name, the sound ones too."""

    def __init__(self, message: str, defects: dict[str, float]) -> None:
        super().__init__(message)
        self.defects = defects


def check_operator(
    A: LinearOperator,
    batch: int = 2,
    seed: int = 0,
    device: torch.device | str | None = None,
    tolerance: float = 1e-4,
) -> dict[str, float]:
    """Measure the contract. Returns the defects of the module docstring, by name.

    Args:
        A: the operator.
        batch: items of the test batch; as many as A holds, where it holds something per item.
        seed: of the test images.
        device: where to test; the operator's own by default.
        tolerance: the largest defect that passes.

    Raises:
        OperatorError: a larger one; says what failed, by how much, and what to do.
    """
    defects = measure(A, batch, seed, device)
    failed = [name for name, value in defects.items() if not value <= tolerance]
    if failed:
        lines = [
            f"{name} = {defects[name]:.2g}, expected at most {tolerance:g}: {FAULTS[name]}" for name in failed
        ]
        raise OperatorError("\n  ".join([f"{A!r} breaks the operator contract:", *lines]), defects)
    return defects


def measure(
    A: LinearOperator, batch: int = 2, seed: int = 0, device: torch.device | str | None = None
) -> dict[str, float]:
    """The defects of the module docstring, by name, whatever they are."""
    device = A.device if device is None else torch.device(device)
    generator = torch.Generator().manual_seed(seed)

    def draw(shape: tuple[int, ...], is_complex: bool) -> Tensor:
        dtype = torch.complex64 if is_complex else torch.float32
        white = torch.randn(batch, *shape, generator=generator, dtype=dtype)
        scale = 10.0 ** (3 * torch.arange(batch)).remainder(7)  # 1, 1e3, 1e6, 1e2, ...
        return (white * scale.view(-1, *[1] * len(shape))).to(device)

    u, w = (draw(A.domain, A.domain_complex) for _ in range(2))
    v, z = (draw(A.range, A.range_complex) for _ in range(2))
    both = ((A, u, w), (A.H, v, z))
    first = [_gradients(*case) for case in both]
    return {
        "dot": _dot(A, u, v),
        "linear": max(_linear(*case) for case in both),
        "gradient": first[0][0],
        "gradient_adjoint": first[1][0],
        "gradient_second": max(first[0][1], first[1][1]),
        "items": max(_items(operator, x) for operator, x, _ in both),
        "repeat": max(_repeat(operator, x) for operator, x, _ in both),
        "shapes": float(sum(_accepted(operator, x) for operator, x, _ in both)),
    }


def _dot(A: LinearOperator, u: Tensor, v: Tensor) -> float:
    Au, AHv = A(u), A.adjoint(v)
    left, right = _inner(Au, v), _inner(u, AHv)
    if not (A.domain_complex and A.range_complex):  # a real side sees the real part only
        left, right = left.real, right.real
    return float(((left - right).abs() / (_norm(Au) * _norm(v)).clamp_min(1e-30)).max())


def _linear(A: LinearOperator, u: Tensor, w: Tensor) -> float:
    complex_scalars = A.domain_complex and A.range_complex
    a, b = (0.6 - 1.1j, -0.7 + 0.4j) if complex_scalars else (0.6, -0.7)
    return _relative(A(a * u + b * w), a * A(u) + b * A(w))


def _gradients(A: LinearOperator, u: Tensor, w: Tensor) -> tuple[float, float]:
    """Defects of the first and the second derivative of 1/2 ||A u||^2."""
    u = u.clone().requires_grad_()
    loss = 0.5 * A(u).abs().square().sum()
    (gradient,) = torch.autograd.grad(loss, u, create_graph=True)
    (second,) = torch.autograd.grad((gradient.conj() * w).real.sum(), u)
    return _relative(gradient, A.normal(u)), _relative(second, A.normal(w))


def _items(A: LinearOperator, u: Tensor) -> float:
    alone = [A.items(slice(k, k + 1))(u[k : k + 1]) for k in range(len(u))]
    return _relative(A(u), torch.cat(alone))


def _repeat(A: LinearOperator, u: Tensor) -> float:
    return _relative(A.repeat(2)(u.repeat_interleave(2, 0)), A(u).repeat_interleave(2, 0))


def _accepted(A: LinearOperator, u: Tensor) -> int:
    wrong = [u[0], u[..., :-1], torch.cat([u, u], -1), u.unsqueeze(1)]
    wrong += [u[:, :-1]] if u.ndim > 2 else []
    return sum(_accepts(A, x) for x in wrong)


def _accepts(A: Callable[[Tensor], Tensor], x: Tensor) -> bool:
    try:
        A(x)
    except ValueError:
        return False
    return True


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """<a, b> per item in double precision, antilinear in a: (B,)."""
    return (a.detach().to(torch.complex128).conj() * b.detach().to(torch.complex128)).flatten(1).sum(1)


def _norm(a: Tensor) -> Tensor:
    return _inner(a, a).real.sqrt()


def _relative(got: Tensor, expected: Tensor) -> float:
    """The largest relative difference of an item."""
    return float((_norm(got - expected) / _norm(expected).clamp_min(1e-30)).max())
