"""What of benchmarks/peers runs without the peers: BART's files; with them, that both speak of the same problem."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from peers.cfl import read_cfl, write_cfl
from scanprior.operators.coils import smooth_maps
from scanprior.operators.mri import cartesian_mri
from scanprior.operators.noise import ComplexGaussian
from scanprior.operators.sampling import equispaced
from scanprior.priors.intensity import RobustMaximum
from scanprior.priors.score import NetworkPrior
from scanprior.recon.problem import Problem


def test_cfl_round_trip(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    array = (rng.normal(size=(5, 4, 1, 3)) + 1j * rng.normal(size=(5, 4, 1, 3))).astype(np.complex64)
    write_cfl(tmp_path / "k", array)
    np.testing.assert_array_equal(read_cfl(tmp_path / "k"), array)


def test_cfl_is_what_bart_documents(tmp_path: Path) -> None:
    write_cfl(tmp_path / "k", np.array([[1, 2j], [3, 4], [5, 6]]))
    assert (tmp_path / "k.hdr").read_text() == "# Dimensions\n3 2" + 14 * " 1" + "\n"
    raw = np.fromfile(tmp_path / "k.cfl", "<f4")
    np.testing.assert_array_equal(raw, [1, 0, 3, 0, 5, 0, 0, 2, 4, 0, 6, 0])  # the first axis fastest


def test_cfl_of_a_wrong_size_is_refused(tmp_path: Path) -> None:
    write_cfl(tmp_path / "k", np.zeros((3, 2)))
    (tmp_path / "k.hdr").write_text("# Dimensions\n3 3\n")
    with pytest.raises(ValueError, match=r"says \[3, 3\].* 6 numbers"):
        read_cfl(tmp_path / "k")


def mri_problem(coils: int, accel: int = 2, sigma: float = 0.0) -> tuple[Problem, torch.Tensor]:
    """A disc of 32² with a phase."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 32), torch.linspace(-1, 1, 32), indexing="ij")
    truth = torch.polar((x**2 + y**2 < 0.5).float() * 3, x + y)[None]
    mask = equispaced((32, 32), accel, 0.25)
    operator = cartesian_mri(mask, smooth_maps(coils, (32, 32)))
    return Problem(operator(truth), operator, ComplexGaussian(sigma) if sigma else None), truth


def test_bart_finds_the_image_in_its_place_and_scale() -> None:
    from peers import bart_peer

    if not bart_peer.available():
        pytest.skip("the program `bart` is not installed")
    problem, truth = mri_problem(coils=6)
    image = bart_peer.pics(problem, 1e-5, bart_peer.WAVELET)
    assert (image - truth).norm() / truth.norm() < 0.02


class Halves(torch.nn.Module):
    """A network for the scaling alone."""

    def forward(self, x: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return 0.5 * x


@pytest.mark.parametrize("decomposed", [False, True])
@pytest.mark.filterwarnings("default")  # deepinv's own
def test_deepinv_sees_the_same_problem(decomposed: bool) -> None:
    deepinv_peer = pytest.importorskip(
        "peers.deepinv_peer", reason="needs the extra [bench]", exc_type=ImportError
    )
    problem, truth = mri_problem(coils=1 if decomposed else 4, sigma=0.01)
    prior = NetworkPrior(Halves(), 2, 0.3, RobustMaximum())
    peer = deepinv_peer.pose(problem, prior, decomposed)
    v = torch.rand(1, 2, 32, 32)
    assert float(peer.physics.adjointness_test(v)) < 1e-5
    torch.testing.assert_close(
        peer.physics.A_adjoint_A(v), peer.physics.A_adjoint(peer.physics.A(v)), atol=1e-5, rtol=1e-4
    )
    assert float(peer.physics.compute_sqnorm(v, verbose=False)) == pytest.approx(1, abs=0.05)
    unit = peer.physical(torch.ones(1, 2, 32, 32)).real.max()  # deepinv's [0, 1] is [-unit, unit]
    exact = (torch.view_as_real(truth / unit).movedim(-1, 1) + 1) / 2
    torch.testing.assert_close(peer.physical(exact), truth, atol=1e-4, rtol=1e-4)
    assert float((peer.physics.A(exact) - peer.y).abs().max()) < 1e-4


def test_the_time_to_a_peers_best_is_that_of_the_quickest_of_ours_that_is_as_good(monkeypatch) -> None:
    from peers import best
    from peers.run import Row

    monkeypatch.setattr(best, "figures", lambda images, items: {"psnr": np.array(images)})

    def row(name: str, psnr: float, seconds: float) -> Row:
        return Row(name, "", images=[psnr, psnr + 2], nfe=[1, 1], seconds=[seconds, 3 * seconds])

    mine = [row("auto, 3", 24, 0.1), row("auto, 5", 30, 0.5), row("dds, 5", 31, 0.4), row("dds, 50", 36, 5)]
    theirs = {"dps": [row("DPS, 100", 28, 4), row("DPS, 200", 27, 8)], "x": [row("X, 9", 40, 1)]}
    assert list(best.lines(mine, theirs, [])) == [
        ["DPS, 100", "29.00", "8.00", "dds, 5", "32.00", "0.80", "0.10"],
        ["X, 9", "41.00", "2.00", "none", "", "", ""],
    ]
