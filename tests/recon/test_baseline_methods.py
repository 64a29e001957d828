"""The baselines by name, with their defaults: none is worse than filtered backprojection or zero-filling."""

import math

import pytest
import torch
from scanprior.geometry import FanBeam, Grid, ParallelBeam
from scanprior.operators.coils import smooth_maps, smooth_phase
from scanprior.operators.linear import Identity
from scanprior.operators.mri import cartesian_mri, sigma_for_snr, simulate_kspace
from scanprior.operators.noise import ComplexGaussian, Photon
from scanprior.operators.radon import Radon
from scanprior.operators.radon_sparse import RadonSparse
from scanprior.operators.sampling import equispaced
from scanprior.priors.intensity import Attenuation, RobustMaximum
from scanprior.priors.supervised import SupervisedNetwork, supervised_loss
from scanprior.recon import FBP, SIRT, CGSense, FistaTV, ZeroFilled
from scanprior.recon.baselines.supervised import Supervised, differences, first_reconstruction, measurement_of
from scanprior.recon.methods import BASELINES, class_of
from scanprior.recon.problem import Problem
from torch import Tensor, nn

N, GRID = 32, Grid((32, 32), 6.0)


def discs() -> Tensor:
    axis = torch.linspace(-1, 1, N)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    inside = (torch.hypot(x, y) < 0.85).float() - 0.4 * (torch.hypot(x - 0.3, y) < 0.2).float()
    return (inside + 0.3 * (torch.hypot(x + 0.3, y + 0.2) < 0.15).float())[None]


def ct(photons: float = 0.0, views: int = 16, batch: int = 1) -> tuple[Problem, Tensor]:
    truth = 0.02 * discs().repeat(batch, 1, 1)
    A = RadonSparse(ParallelBeam.covering(GRID, views), GRID)
    noise = Photon(photons) if photons else None
    y = A(truth)
    y = noise.sample(y, torch.Generator().manual_seed(0)) if noise else y
    return Problem(y, A, noise, 0.02), truth


def mri(accel: int = 2, snr: float = 30.0) -> tuple[Problem, Tensor]:
    truth = torch.polar(50 * discs(), smooth_phase((1, N, N), 3))
    maps, mask = smooth_maps(4, (N, N), 1), equispaced((N, N), accel, 0.15)
    sigma = float(sigma_for_snr(simulate_kspace(truth, maps, mask), mask, snr).mean())
    y = simulate_kspace(truth, maps, mask, sigma, generator=torch.Generator().manual_seed(0))
    return Problem(y, cartesian_mri(mask, maps), ComplexGaussian(sigma)), truth


@pytest.mark.parametrize("kind", ["ct", "ct, noisy", "mri"])
def test_defaults_are_no_worse_than_the_first_reconstruction(kind: str) -> None:
    P, truth = mri() if kind == "mri" else ct(1e4 if "noisy" in kind else 0.0)
    first = float((first_reconstruction(P) - truth).norm())
    for method in map(class_of, BASELINES):
        if method is Supervised or P.modality not in method.scans:
            continue
        result = method()(P)
        assert result.samples.shape == (1, 1, N, N) and result.nfe == 0 and result.std is None
        assert result.provenance["method"] == method.title
        assert float((result.mean - truth).norm()) <= 1.001 * first, method.title


def test_another_modality_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"SIRT reconstructs CT, the scan is MRI; for MRI there are ADMM-TV, "
    ):
        SIRT()(mri()[0])
    with pytest.raises(ValueError, match="zero-filled reconstructs MRI, the scan is CT"):
        ZeroFilled()(ct()[0])
    with pytest.raises(ValueError, match="needs the geometry of a CT scan"):
        FBP()(Problem(torch.zeros(1, 4, 4), Identity((4, 4))))


def test_settings_are_said() -> None:
    assert FistaTV(weight=0.1).settings == {"method": "FISTA-TV", "weight": 0.1, "iterations": 200}
    assert CGSense().settings["regularisation"] is None


# --- supervised
class Half(nn.Module):
    """F(x) = -x / 2, so that the network halves its input."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(-0.5))

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        assert label.shape == (len(x),) and not label.any()
        return self.weight * x


def test_the_network_works_in_its_units_and_comes_back() -> None:
    P, _ = ct(batch=3)
    network = SupervisedNetwork(Half(), 1, Attenuation(1000.0, 0.0193))
    result = Supervised()(P, network, batch=2)
    water = 0.02  # the scan's own, network zero
    torch.testing.assert_close(result.mean, water + 0.5 * (first_reconstruction(P) - water))
    assert (result.nfe, result.samples.shape) == (1, (3, 1, N, N))
    M, _ = mri()
    halved = Supervised()(M, SupervisedNetwork(Half(), 2, RobustMaximum())).mean
    torch.testing.assert_close(halved, 0.5 * ZeroFilled()(M).mean)
    with pytest.raises(ValueError, match="the scan is MRI, the supervised network has 1 channel"):
        Supervised()(M, network)


def test_the_loss_is_the_mean_absolute_error_of_each_pair() -> None:
    pairs = torch.stack([torch.full((2, 4, 4), 2.0), torch.full((2, 4, 4), -4.0)])
    loss = supervised_loss(SupervisedNetwork(Half(), 1, Attenuation()), pairs)
    torch.testing.assert_close(loss, torch.tensor([1.0, 2.0]))


def test_a_measurement_says_what_it_is() -> None:
    assert measurement_of(ct(1e5)[0]) == {
        "beam": "parallel",
        "views": 16,
        "arc": 180.0,
        "photons": 1e5,
        "rays lost": "no",
    }
    fan = FanBeam.covering(GRID, 30, arc=math.pi / 2, source_origin=400.0, source_detector=700.0)
    P = Problem(torch.zeros(1, *fan.shape), RadonSparse(fan, GRID))
    assert measurement_of(P) == {"beam": "fan", "views": 30, "arc": 90.0, "photons": 0.0, "rays lost": "no"}
    some = torch.ones(fan.shape, dtype=torch.bool)
    some[3, 5] = False
    assert measurement_of(Problem(P.y, Radon(fan, GRID, valid=some)))["rays lost"] == "yes"
    facts = measurement_of(mri(2, 30.0)[0])
    assert facts["coils"] == 4 and abs(facts["snr"] - 30) < 0.5 and 1.6 < facts["acceleration"] < 2


def test_differences_from_the_training_are_named() -> None:
    trained = {"spec": "ct:views=16,photons=1e5", **measurement_of(ct(1e5)[0])}
    assert differences(trained, measurement_of(ct(1.5e5)[0])) == []
    assert differences(trained, measurement_of(ct(1e5, views=24)[0])) == [
        "views: trained for 16, the scan has 24"
    ]
    (line,) = differences(trained, measurement_of(ct()[0]))
    assert line == "photons: trained for 100000, the scan has none (noise-free)"
    (line,) = differences(measurement_of(mri(2)[0]), measurement_of(mri(2, 20.0)[0]))
    assert line.startswith("snr: trained for 30")
    assert any(
        line.startswith("acceleration") for line in differences(*map(measurement_of, (mri(2)[0], mri(4)[0])))
    )
