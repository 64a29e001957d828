import pytest
import torch
from scanprior.operators.coils import smooth_maps, smooth_phase
from scanprior.operators.fourier import fft2c, ifft2c
from scanprior.operators.mri import CartesianMRI, cartesian_mri, composed_mri, sigma_for_snr, simulate_kspace
from scanprior.operators.sampling import equispaced, gaussian_2d, random_lines


def masks(shape, kind):
    return {
        "lines": lambda: equispaced(shape, 3, 0.1),
        "points": lambda: gaussian_2d(shape, 3, 0.1),
        "rows": lambda: equispaced(shape[::-1], 3, 0.1).T,
        "lines per item": lambda: torch.stack([random_lines(shape, 3, 0.1, seed=s) for s in (1, 2)]),
        "points per item": lambda: torch.stack([gaussian_2d(shape, 3, 0.1, seed=s) for s in (1, 2)]),
    }[kind]()


def some_maps(shape, per_item):
    maps = [smooth_maps(4, shape, seed) for seed in (1, 2)]
    return torch.stack(maps) if per_item else maps[0]


def complex_normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def relative(got, expected):
    return float((got - expected).norm() / expected.norm())


def objects(shape):
    """Two discs with texture and a smooth phase, zero at the border."""
    y, x = (torch.linspace(-1, 1, n) for n in shape)
    radius = (y[:, None] ** 2 + x**2).sqrt()
    magnitude = (radius < 0.8) * (1 + 0.3 * torch.rand(2, *shape, generator=torch.Generator().manual_seed(5)))
    return torch.polar(magnitude, smooth_phase((2, *shape), 6))


@pytest.mark.parametrize("shape", [(24, 32), (22, 21), (25, 18), (19, 27)])
@pytest.mark.parametrize("kind", ["lines", "points", "rows", "lines per item", "points per item"])
@pytest.mark.parametrize("per_item", [False, True])
def test_the_fused_operator_is_the_composition(shape, kind, per_item):
    mask, maps = masks(shape, kind), some_maps(shape, per_item)
    fused, parts = cartesian_mri(mask, maps), composed_mri(mask, maps)
    x, y = complex_normal(2, *shape), complex_normal(2, 4, *shape, seed=1)
    assert relative(fused(x), parts(x)) < 1e-6
    assert relative(fused.adjoint(y), parts.adjoint(y)) < 1e-6
    assert relative(fused.normal(x), parts.normal(x)) < 1e-6
    torch.testing.assert_close(fused.maps, maps, atol=1e-6, rtol=1e-6)
    assert torch.equal(fused.mask, mask)


@pytest.mark.parametrize("kind", ["lines", "points", "lines per item"])
@pytest.mark.parametrize("per_item", [False, True])
@pytest.mark.parametrize("make", [cartesian_mri, composed_mri])
def test_contract(kind, per_item, make, contract):
    contract(make(masks((20, 15), kind), some_maps((20, 15), per_item)))


@pytest.mark.parametrize("kind", ["lines", "points"])
def test_the_normal_operator_is_differentiable(kind):
    A = cartesian_mri(masks((16, 16), kind), some_maps((16, 16), False))
    x, v = complex_normal(2, 16, 16).requires_grad_(), complex_normal(2, 16, 16, seed=1)
    (gradient,) = torch.autograd.grad((A.normal(x).conj() * v).real.sum(), x)
    assert relative(gradient, A.normal(v)) < 1e-6  # it is self-adjoint


@pytest.mark.parametrize("shape", [(16, 24), (17, 15)])
def test_full_sampling_gives_the_image_back(shape):
    A = cartesian_mri(torch.ones(shape, dtype=torch.bool), some_maps(shape, False))
    x = complex_normal(3, *shape)
    torch.testing.assert_close(A.adjoint(A(x)), x, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(A.normal(x), x, atol=1e-5, rtol=1e-5)


def test_kspace_is_centred():
    """One uniform coil: the public k-space is that of fft2c."""
    A = cartesian_mri(torch.ones(12, 10, dtype=torch.bool), torch.ones(1, 12, 10, dtype=torch.complex64))
    x = complex_normal(1, 12, 10)
    torch.testing.assert_close(A(x)[:, 0], fft2c(x), atol=1e-5, rtol=1e-5)


def test_inputs_are_left_alone():
    A = cartesian_mri(masks((16, 16), "points"), some_maps((16, 16), False))
    x, y = complex_normal(2, 16, 16), complex_normal(2, 4, 16, 16)
    copies = x.clone(), y.clone()
    A(x), A.adjoint(y), A.normal(x)
    assert torch.equal(x, copies[0]) and torch.equal(y, copies[1])


def test_what_does_not_fit_is_refused():
    maps, mask = smooth_maps(4, (16, 16)), torch.ones(16, 16, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"mask of \(16, 12\) for maps of \(16, 16\)"):
        CartesianMRI(mask[:, :12], maps)
    with pytest.raises(ValueError, match="expected bool"):
        CartesianMRI(mask.float(), maps)
    with pytest.raises(ValueError, match="expected complex"):
        CartesianMRI(mask, maps.abs())
    with pytest.raises(ValueError, match="3 masks and 2 sets of maps"):
        CartesianMRI(mask.expand(3, 16, 16), maps.expand(2, 4, 16, 16))
    with pytest.raises(ValueError, match=r"got a batch of 1.*2 items"):
        CartesianMRI(mask, maps.expand(2, 4, 16, 16))(torch.zeros(1, 16, 16, dtype=torch.complex64))


@pytest.mark.parametrize("shape", [(24, 32), (21, 19)])
@pytest.mark.parametrize("oversample", [1, 2, 3])
def test_simulation_with_one_uniform_coil_measures_the_image(shape, oversample):
    full, one = torch.ones(shape, dtype=torch.bool), torch.ones(1, *shape, dtype=torch.complex64)
    x = complex_normal(2, *shape)
    k = simulate_kspace(x, one, full, oversample=oversample)
    torch.testing.assert_close(ifft2c(k)[:, 0], x, atol=2e-5, rtol=1e-5)


def test_simulation_on_the_same_grid_is_the_operator_and_on_a_finer_one_nearly():
    """It differs by little: by what maps of finite smoothness fold in from beyond the matrix."""
    mask, maps, x = masks((64, 64), "lines"), some_maps((64, 64), True), objects((64, 64))
    y = cartesian_mri(mask, maps)(x)
    assert relative(simulate_kspace(x, maps, mask, oversample=1), y) < 1e-6
    assert 1e-4 < relative(simulate_kspace(x, maps, mask, oversample=2), y) < 2e-2


def test_finer_simulation_converges():
    mask, maps, x = masks((48, 48), "lines"), some_maps((48, 48), False), objects((48, 48))
    reference = simulate_kspace(x, maps, mask, oversample=8)
    errors = [relative(simulate_kspace(x, maps, mask, oversample=s), reference) for s in (1, 2, 4)]
    assert errors[0] > 1.5 * errors[1] > 3 * errors[2]


def test_noise_has_the_named_strength_and_only_where_measured():
    mask, maps, x = masks((64, 64), "points"), some_maps((64, 64), False), objects((64, 64))
    clean = simulate_kspace(x, maps, mask)
    sigma = sigma_for_snr(clean, mask, 20.0)
    assert sigma.shape == (2,)
    noisy = simulate_kspace(x, maps, mask, sigma, generator=torch.Generator().manual_seed(0))
    noise = (noisy - clean)[..., mask]  # (B, C, n)
    for b in range(2):
        assert float(noise[b].abs().square().mean().sqrt()) == pytest.approx(float(sigma[b]), rel=0.03)
        power = clean[b][:, mask].abs().square().mean()
        assert 10 * float(torch.log10(power / sigma[b] ** 2)) == pytest.approx(20, abs=1e-3)
    assert bool((noisy[..., ~mask] == 0).all())
    again = simulate_kspace(x, maps, mask, sigma, generator=torch.Generator().manual_seed(0))
    assert torch.equal(noisy, again)
    with pytest.raises(ValueError, match="no generator"):
        simulate_kspace(x, maps, mask, 0.1)
