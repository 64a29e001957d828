"""Measured data, no simulation: HTC 2022 fan beam, ultra-low-field MRI, an 8-channel prospectively undersampled brain.

    python benchmarks/measured.py htc       # 60 and 30 of 549 views against FISTA-TV from all of them
    python benchmarks/measured.py ulf       # 4x retrospective undersampling of fully sampled k-space
    python benchmarks/measured.py brain     # reconstruct from half of the samples, predict the other half

Pictures go to --pictures (a folder). Needs the full sets ($SCANPRIOR_DATA).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from common import DATA
from rich.console import Console
from rich.table import Table
from scanprior.formats.read import read
from scanprior.formats.scan import Scan
from scanprior.operators.coils import espirit_maps
from scanprior.operators.mri import cartesian_mri
from scanprior.operators.noise import ComplexGaussian
from scanprior.operators.sampling import equispaced
from scanprior.pretrained.load import default_for, load
from scanprior.priors.score import NetworkPrior
from scanprior.recon import FistaTV
from scanprior.recon.baselines.compressed import l1_wavelet
from scanprior.recon.baselines.fbp import fbp
from scanprior.recon.baselines.tv import fista_tv
from scanprior.recon.baselines.zero_filled import zero_filled
from scanprior.recon.metrics import mri_metrics, psnr, ssim
from scanprior.recon.posterior.dds import DDS
from scanprior.recon.problem import Problem
from scanprior.recon.study import geometry_of, kspace_noise, problem_of
from scanprior.report.figures import overview, save

HTC_MATRIX = 256
BRAIN = (1e-3, 3e-3, 1e-2)  # weights of both classical methods: the best by the error itself
ULF_TV = (1e-3, 3e-3)


def htc(args: argparse.Namespace) -> None:
    scan = read(DATA / "ct/raw/htc2022_tb_fanbeam.h5")
    assert isinstance(scan, Scan)
    scan = replace(
        scan, matrix=(HTC_MATRIX, HTC_MATRIX), pixel_mm=scan.pixel_mm * scan.matrix[0] / HTC_MATRIX
    )
    full = problem_of(scan)
    reference = fista_tv(full.y, full.operator, 1e-4)
    inside = reference > 0.5 * reference.max()
    water = float(reference[inside].median())  # the object is plastic: call its attenuation water's
    prior, _ = load(args.prior or default_for("CT"))
    prior.for_inference()
    peak = float(reference.max())
    title = "HTC 2022, measured, reference: FISTA-TV from 549 views"
    table = new_table(title, ("views", "method", "PSNR [dB]", "SSIM"))
    for views in (60, 30):
        index = np.round(np.linspace(0, scan.data.shape[1] - 1, views)).astype(int)
        assert scan.geometry is not None
        part = replace(scan, data=scan.data[:, index], geometry=scan.geometry.subset(index))
        problem = replace(problem_of(part), water=water)
        out = DDS(steps=args.steps)(problem, prior, samples=args.samples)
        images = {
            "FBP": fbp(problem.y, *geometry_of(part)),
            "FISTA-TV": fista_tv(problem.y, problem.operator, 3e-4),
            "DDS, one sample": out.samples[:, 0],
            f"DDS, mean of {args.samples}": out.mean,
        }
        captions = {}
        for name, image in images.items():
            value = float(psnr(image, reference, data_range=peak)[0])
            similar = float(ssim(image, reference, data_range=peak, variant="uniform7")[0])
            table.add_row(str(views), name, f"{value:.2f}", f"{similar:.3f}")
            captions[name] = f"{value:.2f} dB"
        std = None if out.std is None else out.std[0].numpy()
        picture(args, f"htc-{views}", images, reference, std, (0.0, peak), "1/mm", captions)
    Console().print(table)


def ulf(args: argparse.Namespace) -> None:
    prior, _ = load(args.prior or default_for("MR"))
    prior.for_inference()
    title = "0.055 T brain, measured, 4x undersampled retrospectively, reference: all samples"
    table = new_table(title, ("file", "method", "PSNR [dB]", "SSIM"))
    for path in sorted((DATA / "mri/raw").glob("ulf_*.h5"))[: args.files]:
        scan = read(path, slices=[1])
        assert isinstance(scan, Scan)
        y = torch.from_numpy(scan.data)
        maps = torch.ones(1, *y.shape[-2:], dtype=torch.complex64)
        everything = torch.ones(y.shape[-2:], dtype=torch.bool)
        sigma = kspace_noise(y, everything)
        reference = cartesian_mri(everything, maps).adjoint(y)
        mask = equispaced(y.shape[-2:], 4, 0.16)
        problem = Problem(y * mask, cartesian_mri(mask, maps), ComplexGaussian(sigma))
        images = {"zero-filled": zero_filled(problem), "L1-wavelet": l1_wavelet(problem, 3e-3)}
        images |= {f"FISTA-TV, {w:g}": FistaTV(w)(problem).mean for w in ULF_TV}
        drawn, std = samples_of(problem, prior, args)
        images |= drawn
        captions = {}
        for name, image in images.items():
            row = mri_metrics(image, reference)
            table.add_row(path.stem, name, f"{row['psnr']:.2f}", f"{row['ssim']:.3f}")
            captions[name] = f"{row['psnr']:.2f} dB"
        picture(
            args,
            path.stem,
            images,
            reference,
            std,
            (0.0, float(reference.abs().max())),
            "k-space units",
            captions,
        )
    Console().print(table)


def brain(args: argparse.Namespace) -> None:
    scan = read(DATA / "mri/raw/brain_8ch_poisson.h5")
    assert isinstance(scan, Scan)
    assert scan.mask is not None
    y, mask = torch.from_numpy(scan.data), torch.from_numpy(scan.mask)
    maps = espirit_maps(y, calibration=20)[0]
    generator = torch.Generator().manual_seed(0)
    kept = torch.rand(mask.shape, generator=generator) < 0.5
    rows, columns = (n // 2 for n in mask.shape)
    kept[rows - 10 : rows + 10, columns - 10 : columns + 10] = True  # calibration lines stay
    train, held_out = mask & kept, mask & ~kept
    problem = Problem(y * train, cartesian_mri(train, maps), ComplexGaussian(kspace_noise(y, mask)))
    predict = cartesian_mri(held_out, maps)
    prior, _ = load(args.prior or default_for("MR"))
    prior.for_inference()
    images = {"zero-filled": zero_filled(problem)}
    images |= {f"L1-wavelet, {w:g}": l1_wavelet(problem, w) for w in BRAIN}
    images |= {f"FISTA-TV, {w:g}": FistaTV(w)(problem).mean for w in BRAIN}
    drawn, std = samples_of(problem, prior, args)
    images |= drawn
    table = new_table(
        "8-channel brain, half of the samples predict the other half", ("method", "held-out error")
    )
    captions = {}
    for name, image in images.items():
        residual = (predict(image) - y * held_out).norm() / (y * held_out).norm()
        table.add_row(name, f"{float(residual):.4f}")
        captions[name] = f"{float(residual):.3f}"
    window = (0.0, float(torch.quantile(list(images.values())[-1].abs(), 0.998)))
    picture(args, "brain", images, None, std, window, "k-space units", captions)
    Console().print(table)


def samples_of(
    problem: Problem, prior: NetworkPrior, args: argparse.Namespace
) -> tuple[dict[str, torch.Tensor], np.ndarray | None]:
    """One sample of DDS, the mean and the spread; nothing for `--samples 0`."""
    if not args.samples:
        return {}, None
    out = DDS(steps=args.steps)(problem, prior, samples=args.samples)
    std = None if out.std is None else out.std[0].numpy()
    return {"DDS, one sample": out.samples[:, 0], f"DDS, mean of {args.samples}": out.mean}, std


def picture(
    args: argparse.Namespace,
    name: str,
    images: dict[str, torch.Tensor],
    truth: torch.Tensor | None,
    std: np.ndarray | None,
    window: tuple[float, float],
    units: str,
    captions: dict[str, str],
) -> None:
    if args.pictures is None:
        return
    args.pictures.mkdir(parents=True, exist_ok=True)
    shown = {key: image[0].abs().numpy() for key, image in images.items()}
    reference = None if truth is None else truth[0].abs().numpy()
    figure = overview(
        shown,
        truth=reference,
        std=std,
        window=window,
        units=units,
        title=name,
        captions=captions,
    )
    save(figure, args.pictures / f"{name}.png")


def new_table(title: str, columns: tuple[str, ...]) -> Table:
    table = Table(title=title)
    for column in columns:
        table.add_column(column)
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", choices=["htc", "ulf", "brain"])
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--samples", type=int, default=8, help="of DDS; 0: MRI's classical methods only")
    parser.add_argument("--files", type=int, default=6, help="ulf: files")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--prior")
    arguments = parser.parse_args()
    {"htc": htc, "ulf": ulf, "brain": brain}[arguments.study](arguments)
