"""Inpainting, colorization, downsampling: the contract, what they are, and their A A^H."""

from __future__ import annotations

import pytest
import torch
from scanprior.operators.pixel import Colorization, Downsampling, Inpainting
from torch import Tensor

KNOWN = torch.rand(6, 9, generator=torch.Generator().manual_seed(0)) < 0.4
OWN = torch.stack([KNOWN, ~KNOWN])


def normal(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("mask", [KNOWN, OWN], ids=["shared", "own"])
@pytest.mark.parametrize("channels", [None, 3])
@pytest.mark.parametrize("is_complex", [False, True])
def test_inpainting_keeps_the_known_pixels_and_the_contract(mask, channels, is_complex, contract) -> None:
    A = Inpainting(mask, channels, is_complex)
    contract(A)
    x = normal(2, *A.domain, dtype=torch.complex64 if is_complex else torch.float32)
    y = A(x)
    assert y.dtype == x.dtype
    for item, image, known in zip(y, x, mask.expand(2, 6, 9), strict=True):
        assert torch.equal(item[..., known], image[..., known])
        assert not item[..., ~known].any()
    assert torch.equal(A(A.adjoint(y)), y)


def test_colorization_is_the_grey_axis_of_an_orthogonal_basis(contract) -> None:
    """Song et al. 2021, App. I: replacing the grey coordinate is the projection on A x = y."""
    A = Colorization((3, 4, 5))
    contract(A)
    x, y = normal(2, 3, 4, 5), normal(2, 4, 5)
    torch.testing.assert_close(A(x), (x[:, 0] + x[:, 1] + x[:, 2]) / 3)
    torch.testing.assert_close(A(A.adjoint(y)), y / 3)
    basis = torch.linalg.qr(torch.cat([torch.ones(3, 1), normal(3, 2)], 1)).Q.T
    basis = basis * basis[0].sum().sign()  # rows: the grey axis, two colour axes
    torch.testing.assert_close(basis[0], torch.full((3,), 3**-0.5))
    coordinates = torch.einsum("kc,bchw->bkhw", basis, x)
    coordinates[:, 0] = 3**0.5 * y
    replaced = torch.einsum("kc,bkhw->bchw", basis, coordinates)
    torch.testing.assert_close(replaced, x + 3 * A.adjoint(y - A(x)))


@pytest.mark.parametrize("shape", [(6, 9), (3, 6, 9)])
@pytest.mark.parametrize("is_complex", [False, True])
def test_downsampling_means_the_blocks_and_keeps_the_contract(shape, is_complex, contract) -> None:
    A = Downsampling(shape, 3, is_complex)
    contract(A)
    assert A.range == (*shape[:-2], 2, 3)
    x = normal(2, *shape, dtype=torch.complex64 if is_complex else torch.float32)
    y = A(x)
    for row in range(2):
        for column in range(3):
            block = x[..., 3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
            torch.testing.assert_close(y[..., row, column], block.mean((-2, -1)))
    torch.testing.assert_close(A(A.adjoint(y)), y / 9)
    assert A.norm() == pytest.approx(1 / 3, rel=1e-4)


def test_wrong_masks_and_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="True where a pixel is known"):
        Inpainting(torch.ones(4, 4))
    with pytest.raises(ValueError, match="holds something for each of 2 items"):
        Inpainting(OWN)(normal(3, 6, 9))
    with pytest.raises(ValueError, match="expected \\(C, H, W\\)"):
        Colorization((4, 5))
    with pytest.raises(ValueError, match="multiples of the factor"):
        Downsampling((6, 9), 2)
    with pytest.raises(ValueError, match="complex data"):
        Downsampling((6, 9), 3)(normal(1, 6, 9, dtype=torch.complex64))
