import h5py
import pytest
import torch
from scanprior.operators.acs import acs_size
from scanprior.operators.coils import espirit_maps, smooth_maps, smooth_phase
from scanprior.operators.mri import cartesian_mri, composed_mri, sigma_for_snr, simulate_kspace
from scanprior.operators.sampling import equispaced, gaussian_2d
from scanprior.recon.baselines.compressed import l1_wavelet
from scanprior.recon.baselines.sense import cg_sense
from scanprior.recon.baselines.zero_filled import zero_filled
from scanprior.recon.metrics import data_residual, mri_metrics
from scanprior.recon.problem import Problem

N = 64


def phantom():
    """Two images of ellipses with a smooth phase, (2, N, N)."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, N), torch.linspace(-1, 1, N), indexing="ij")
    ellipses = [
        (0, 0, 0.7, 0.85, 1.0),
        (0, 0, 0.62, 0.77, -0.6),
        (0.2, 0.1, 0.15, 0.3, 0.4),
        (-0.25, -0.2, 0.2, 0.2, 0.3),
    ]
    image = torch.zeros(N, N)
    for cx, cy, a, b, value in ellipses:
        image += value * (((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 < 1)
    return torch.polar(torch.stack([image, image.flip(1).roll(3, 0)]), smooth_phase((2, N, N), 3))


def problem(mask, snr_db=30.0, scale=1.0, per_item=False):
    truth = scale * phantom()
    maps = smooth_maps(6, (N, N), 1)
    maps = torch.stack([maps, smooth_maps(6, (N, N), 2)]) if per_item else maps
    clean = simulate_kspace(truth, maps, mask)
    sigma = sigma_for_snr(clean, mask, snr_db)
    y = simulate_kspace(truth, maps, mask, sigma, generator=torch.Generator().manual_seed(0))
    return Problem(y, cartesian_mri(mask, maps)), truth


def score(image, truth):
    return mri_metrics(image, truth)["psnr"]


@pytest.mark.parametrize("per_item", [False, True])
def test_each_baseline_improves_on_the_one_before(per_item):
    P, truth = problem(equispaced((N, N), 3, 0.1), per_item=per_item)
    filled = score(zero_filled(P), truth)
    sense = score(cg_sense(P, regularisation=1e-3), truth)
    wavelet = score(l1_wavelet(P, weight=1e-3), truth)
    assert sense > filled + 5
    assert wavelet > sense + 1


def test_the_regulariser_matters():
    """At the right weight both are better than without, and far too much is worse."""
    P, truth = problem(gaussian_2d((N, N), 5), snr_db=25)
    for method, weights in (
        (lambda w: cg_sense(P, regularisation=w, iterations=50), (0, 1e-2, 10)),
        (lambda w: l1_wavelet(P, weight=w), (0, 2e-3, 0.3)),
    ):
        none, right, much = (score(method(weight), truth) for weight in weights)
        assert right > none + 0.5 and right > much + 3


def test_cg_sense_solves_its_equation():
    P, _ = problem(equispaced((N, N), 3, 0.1))
    x, A = cg_sense(P, iterations=200, regularisation=0.01), P.operator
    left, right = A.normal(x) + 0.01 * A.norm() ** 2 * x, A.adjoint(P.y)
    assert float((left - right).norm() / right.norm()) < 1e-4


def test_full_noise_free_data_gives_the_image_back():
    truth, full = phantom(), torch.ones(N, N, dtype=torch.bool)
    A = cartesian_mri(full, smooth_maps(6, (N, N), 1))
    P = Problem(A(truth), A)
    for image in (zero_filled(P), cg_sense(P, regularisation=0), l1_wavelet(P, weight=0)):
        torch.testing.assert_close(image, truth, atol=1e-3, rtol=1e-3)


def test_l1_wavelet_is_the_minimum_of_its_objective():
    """Of the misfit and the mean penalty over all places of the wavelets' grid: any other scale of the image, noise on
    it, and the image of a grid at rest cost more."""
    sigpy = pytest.importorskip("sigpy")
    from sigpy.mri.app import L1WaveletRecon

    P, _ = problem(equispaced((N, N), 3, 0.1))
    P = P.items(slice(0, 1))
    weight = 0.01
    x, A = l1_wavelet(P, weight=weight, iterations=200), P.operator
    W = sigpy.linop.Wavelet((N, N), wave_name="db2")
    largest = float(zero_filled(P).abs().max())

    def objective(image):
        misfit = 0.5 * float((A(image) - P.y).abs().square().sum())
        moved = [image[0].roll((i, j), (0, 1)).numpy() for i in range(0, 32, 5) for j in range(0, 32, 5)]
        return misfit + weight * largest * sum(float(abs(W(m)).sum()) for m in moved) / len(moved)

    y, maps, mask = (
        (P.y[0] / largest).numpy(),
        A.maps.view(A.range).numpy(),
        A.mask.view(A.domain).float().numpy(),
    )
    app = L1WaveletRecon(y, maps, weight, weights=mask, wave_name="db2", max_iter=200, show_pbar=False)
    at_rest = torch.from_numpy(app.run())[None] * largest
    noise = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(1))
    others = [x * 0.97, x * 1.03, x + 0.002 * x.abs().max() * noise, zero_filled(P), at_rest]
    assert all(objective(x) < objective(other) for other in others)


@pytest.mark.parametrize("method", [zero_filled, cg_sense, l1_wavelet])
def test_scale_and_batch_mates_do_not_matter(method):
    P, _ = problem(equispaced((N, N), 3, 0.1), per_item=True)
    both = method(P)
    torch.testing.assert_close(method(P.items(slice(1, 2))), both[1:], atol=1e-5, rtol=1e-4)
    scaled = method(Problem(1e4 * P.y, P.operator))
    torch.testing.assert_close(scaled / 1e4, both, atol=1e-4, rtol=1e-3)


def test_data_are_fitted():
    P, _ = problem(equispaced((N, N), 3, 0.1), snr_db=40)
    assert data_residual(P.operator, cg_sense(P, regularisation=1e-5), P.y).max() < 0.03


def test_nothing_measured_and_wrong_options():
    P, _ = problem(equispaced((N, N), 3, 0.1))
    empty = Problem(torch.zeros_like(P.y), P.operator)
    assert float(l1_wavelet(empty).abs().max()) == 0 == float(cg_sense(empty).abs().max())
    with pytest.raises(ValueError, match="expected a CartesianMRI"):
        l1_wavelet(Problem(P.y, composed_mri(P.operator.mask, P.operator.maps)))
    with pytest.raises(ValueError, match="weight=-1"):
        l1_wavelet(P, weight=-1)
    with pytest.raises(ValueError, match="iterations=0"):
        cg_sense(P, iterations=0)


def test_a_measured_head(shared_data):
    """Prospectively undersampled 8x, no reference: half of the samples predict the other half (a residual of
    1 is what zero-filling gives, which predicts nothing there)."""
    with h5py.File(shared_data("mri", "raw", "brain_8ch_poisson.h5")) as file:
        y, mask = torch.from_numpy(file["kspace"][:]), torch.from_numpy(file["mask"][:])
    assert acs_size(mask) == (24, 24)
    maps = espirit_maps(y)
    kept = mask & (torch.rand(mask.shape, generator=torch.Generator().manual_seed(0)) < 0.5)
    kept[103:127, 78:102] = True  # the calibration square
    other = mask & ~kept
    image = cg_sense(Problem(y * kept, cartesian_mri(kept, maps)), regularisation=0.01)
    predicted = cartesian_mri(other, maps)
    assert data_residual(predicted, image, y * other).max() < 0.6
