"""CT projectors: chords of discs, axes and signs, two independent implementations, the contract."""

import math

import numpy as np
import pytest
import torch
from scanprior.geometry import FanBeam, Grid, ParallelBeam, parallel_views
from scanprior.operators.attenuation import hu_from_mu, mu_from_hu
from scanprior.operators.radon import Radon, simulate_sinogram
from scanprior.operators.radon_astra import RadonAstra
from scanprior.operators.radon_sparse import RadonSparse

GRID = Grid((96, 112), 0.8)
FAN = {"source_origin": 120.0, "source_detector": 210.0}
BEAMS = {
    "parallel": ParallelBeam.covering(GRID, 24),
    "parallel, full turn, offset, fine": ParallelBeam.covering(
        GRID, 24, arc=2 * math.pi, offset=3.3, spacing=0.5
    ),
    "fan, flat": FanBeam.covering(GRID, 24, **FAN),
    "fan, flat, offset": FanBeam.covering(GRID, 24, **FAN, offset=-2.25),
    "fan, curved": FanBeam.covering(GRID, 24, **FAN, curved=True),
    "fan, curved, offset": FanBeam.covering(GRID, 24, **FAN, curved=True, offset=1.75, spacing=1.1),
}
FLAT = [name for name in BEAMS if "curved" not in name]


def centres(grid):
    """x and y of the pixels [mm], written out from the definition."""
    H, W = grid.matrix
    x = (np.arange(W) - (W - 1) / 2) * grid.pixel
    y = ((H - 1) / 2 - np.arange(H)) * grid.pixel
    return np.meshgrid(x, y)


def disc(grid, cx, cy, radius, mu=0.02, parts=8):
    """A disc with pixels weighted by the area covered: (1, H, W)."""
    x, y = centres(grid.refine(parts))
    inside = (x - cx) ** 2 + (y - cy) ** 2 <= radius**2
    H, W = grid.matrix
    return torch.tensor(mu * inside.reshape(H, parts, W, parts).mean((1, 3)), dtype=torch.float32)[None]


def distances(beam, cx, cy):
    """Distance of every ray from the point [mm], from two points on the ray: (views, detectors)."""
    k = np.arange(beam.detectors)
    s = (k - (beam.detectors - 1) / 2 - beam.offset) * beam.spacing
    rows = []
    for angle in beam.angles:
        c, si = math.cos(angle), math.sin(angle)
        if isinstance(beam, ParallelBeam):
            rows.append(s - (cx * c + cy * si))
            continue
        R, D = beam.source_origin, beam.source_detector
        source = np.array([R * si, -R * c])
        along, across = (D * np.cos(s / D), D * np.sin(s / D)) if beam.curved else (D, s)
        element = source + np.stack([-si * along + c * across, c * along + si * across], -1)
        step = (element - source) / np.linalg.norm(element - source, axis=-1, keepdims=True)
        rows.append(step[:, 0] * (cy - source[1]) - step[:, 1] * (cx - source[0]))
    return np.abs(np.stack(rows))


def chords(beam, cx, cy, radius, mu=0.02):
    d = distances(beam, cx, cy)
    return 2 * mu * np.sqrt(np.clip(radius**2 - d**2, 0, None))


def errors(beam, got, cx, cy, radius):
    """RMSE, and the largest error of rays away from the rim, relative to the diameter's value."""
    difference = (got - chords(beam, cx, cy, radius)) / (2 * 0.02 * radius)
    inner = distances(beam, cx, cy) < 0.85 * radius
    return float(np.sqrt(np.mean(difference**2))), float(np.abs(difference[inner]).max())


@pytest.mark.parametrize("name", BEAMS)
@pytest.mark.parametrize("place", [(0.0, 0.0, 25.0), (13.3, -7.9, 15.0)], ids=["centred", "off-centre"])
def test_disc_is_its_chords(name, place):
    beam = BEAMS[name]
    got = Radon(beam, GRID)(disc(GRID, *place))[0].numpy()
    rmse, worst = errors(beam, got, *place)
    assert rmse < 0.006 and worst < 0.03, (rmse, worst)
    # the threshold means something: half a pixel in either direction breaks it
    for dx, dy in ((0.4, 0), (0, 0.4)):
        assert errors(beam, got, place[0] + dx, place[1] + dy, place[2])[0] > 0.011


@pytest.mark.parametrize("name", ["parallel", "fan, flat", "fan, curved"])
def test_error_of_the_disc_falls_with_the_pixel(name):
    found = []
    for n in (32, 256):
        grid = Grid((n, n), 64 / n)
        if name == "parallel":
            beam = ParallelBeam.covering(grid, 12)
        else:
            beam = FanBeam.covering(grid, 12, **FAN, curved="curved" in name)
        found.append(errors(beam, Radon(beam, grid)(disc(grid, 3.1, 5.2, 20))[0].numpy(), 3.1, 5.2, 20)[0])
    assert found[0] > 5 * found[1]  # first order at the rim: 8 if exact


def test_mass_is_kept_in_every_parallel_view():
    beam = ParallelBeam.covering(GRID, 17)
    x = disc(GRID, -9.0, 4.0, 17.0)
    mass = Radon(beam, GRID)(x).sum(-1) * beam.spacing
    torch.testing.assert_close(mass, (x.sum() * 0.8**2).expand(1, 17), rtol=3e-3, atol=0)


def point(grid, row, column):
    x = torch.zeros(1, *grid.matrix)
    x[0, row, column] = 1
    return x


def seen_at(beam, grid, image):
    """Centre of mass on the detector [mm], for every view."""
    y = Radon(beam, grid)(image)[0].double().numpy()
    return (y * beam.coordinates()).sum(1) / y.sum(1)


def test_signs_of_the_parallel_beam():
    grid = Grid((33, 33), 0.5)
    beam = ParallelBeam((0.0, math.pi / 2, math.pi, 0.3), 101, 0.25)
    right, up = point(grid, 16, 26), point(grid, 6, 16)  # 5 mm along +x, along +y (a smaller row)
    np.testing.assert_allclose(seen_at(beam, grid, right), [5, 0, -5, 5 * math.cos(0.3)], atol=0.02)
    np.testing.assert_allclose(seen_at(beam, grid, up), [0, 5, 0, 5 * math.sin(0.3)], atol=0.02)


@pytest.mark.parametrize("curved", [False, True])
def test_signs_and_magnification_of_the_fan_beam(curved):
    grid = Grid((33, 33), 0.5)
    beam = FanBeam((0.0, math.pi / 2), 201, 0.25, 40.0, 60.0, curved)
    place = (lambda t: 60 * math.atan(t)) if curved else (lambda t: 60 * t)
    # at angle 0 the source is below, at (0, -40); at 90 degrees it is on the right, at (40, 0)
    np.testing.assert_allclose(seen_at(beam, grid, point(grid, 16, 26)), [place(5 / 40), 0], atol=0.03)
    np.testing.assert_allclose(
        seen_at(beam, grid, point(grid, 26, 26)), [place(5 / 35), place(-5 / 35)], atol=0.03
    )
    np.testing.assert_allclose(seen_at(beam, grid, point(grid, 6, 16)), [0, place(5 / 40)], atol=0.03)


@pytest.mark.parametrize("n", [32, 33])
def test_rotation_centre_is_the_middle_of_the_pixels(n):
    grid = Grid((n, n), 1.0)
    low, high = (n - 1) // 2, n // 2 + 1
    image = torch.zeros(1, n, n)
    image[0, low:high, low:high] = 1
    beam = ParallelBeam(parallel_views(8, 2 * math.pi), 61, 0.5, offset=2.0)
    np.testing.assert_allclose(seen_at(beam, grid, image), 0, atol=1e-3)
    y = Radon(beam, grid)(image)[0]
    elements = torch.arange(61.0)
    centre = (y * elements).sum(1) / y.sum(1)
    torch.testing.assert_close(centre, torch.full((8,), 32.0), rtol=0, atol=1e-2)


@pytest.mark.parametrize("curved", [False, True])
def test_a_far_source_is_a_parallel_beam(curved):
    parallel = ParallelBeam.covering(GRID, 15, arc=2 * math.pi, offset=1.5)
    fan = FanBeam(parallel.angles, parallel.detectors, parallel.spacing, 1e7, 1e7, curved, offset=1.5)
    x = disc(GRID, 13.3, -7.9, 15.0)
    y = Radon(parallel, GRID)(x)
    assert relative(Radon(fan, GRID)(x), y) < 1e-4


def relative(got, expected):
    return float((got - expected).norm() / expected.norm())


@pytest.mark.parametrize("name", FLAT)
def test_astra_agrees(name):
    x = disc(GRID, 13.3, -7.9, 15.0) + disc(GRID, -10, 9, 20.0)
    x = torch.nn.functional.avg_pool2d(x, 9, 1, 4)  # smooth
    ours, theirs = Radon(BEAMS[name], GRID), Radon(BEAMS[name], GRID, backend="astra")
    y, z = ours(x), theirs(x)
    # the same kernel in a parallel beam; interpolation against exact intersections in a fan
    assert relative(z, y) < (3e-3 if "fan" in name else 1e-5)
    assert relative(z.roll(1, 2), y) > 2e-2
    back, reference = ours.adjoint(y), theirs.adjoint(y)
    if "fan" in name:  # their adjoint is jagged: compare what is left after some blur
        back, reference = (torch.nn.functional.avg_pool2d(b, 8) for b in (back, reference))
    assert relative(back, reference) < (5e-3 if "fan" in name else 1e-5)


@pytest.mark.parametrize("name", BEAMS)
def test_contract_of_the_sparse_projector(name, contract):
    contract(RadonSparse(BEAMS[name], GRID), batch=3)


@pytest.mark.parametrize("name", ["parallel", "fan, flat, offset"])
def test_contract_of_astra(name, contract):
    contract(RadonAstra(BEAMS[name].subset(slice(0, 24, 4)), GRID))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["parallel", "fan, curved, offset"])
def test_contract_on_cuda_and_the_same_numbers(name, contract):
    x = disc(GRID, 13.3, -7.9, 15.0)
    expected = RadonSparse(BEAMS[name], GRID)(x)
    A = RadonSparse(BEAMS[name], GRID).to("cuda")
    contract(A, batch=3)
    torch.testing.assert_close(A(x.cuda()).cpu(), expected)


def test_norm_and_adjoint_are_those_of_the_dense_matrix():
    grid = Grid((9, 7), 1.3)
    A = Radon(FanBeam.covering(grid, 5, source_origin=30, source_detector=50, curved=True), grid)
    n = math.prod(A.domain)
    matrix = A(torch.eye(n).view(n, *A.domain)).flatten(1).T
    assert A.norm() == pytest.approx(float(torch.linalg.svdvals(matrix)[0]), rel=1e-3)
    m = math.prod(A.range)
    torch.testing.assert_close(A.adjoint(torch.eye(m).view(m, *A.range)).flatten(1), matrix)
    assert float(matrix.min()) >= 0


def test_double_precision_and_batches():
    A = Radon(BEAMS["parallel"], GRID)
    x = torch.rand(3, *GRID.matrix, generator=torch.Generator().manual_seed(0))
    y = A(x)
    assert A(x.double()).dtype == torch.float64 and y.dtype == torch.float32
    torch.testing.assert_close(A.double()(x.double()), y.double(), rtol=1e-5, atol=1e-5)


def test_equal_geometries_share_one_matrix():
    first, second = (RadonSparse(ParallelBeam.covering(GRID, 24), Grid((96, 112), 0.8)) for _ in range(2))
    assert first.get_buffer("value").data_ptr() == second.get_buffer("value").data_ptr()
    assert first.state_dict() == {}


def test_simulation_of_one_part_is_the_projector_and_of_many_the_area():
    beam = BEAMS["fan, curved, offset"]
    x = disc(GRID, 13.3, -7.9, 15.0)
    torch.testing.assert_close(simulate_sinogram(x, beam, GRID, 1), Radon(beam, GRID)(x))
    # one square pixel seen at 45 degrees by an element of its own width: all but two corners
    grid = Grid((5, 5), 1.0)
    diagonal = ParallelBeam((math.pi / 4,), 5, 1.0)
    corner = (math.sqrt(0.5) - 0.5) ** 2
    exact = torch.tensor([0, corner, 1 - 2 * corner, corner, 0])
    got = [simulate_sinogram(point(grid, 2, 2), diagonal, grid, parts)[0, 0] for parts in (1, 4, 16)]
    distance = [float((g - exact).abs().max()) for g in got]
    assert distance[0] > 0.1 and distance[1] < 0.05 and distance[2] < 0.01


def test_simulated_data_are_near_the_projector_but_not_its_own():
    beam, x = BEAMS["fan, flat, offset"], disc(GRID, 13.3, -7.9, 15.0)
    y, own = simulate_sinogram(x, beam, GRID, 2), Radon(beam, GRID)(x)
    assert 1e-3 < relative(y, own) < 0.05


@pytest.mark.parametrize("name", BEAMS)
def test_refined_elements_average_to_the_elements(name):
    beam = BEAMS[name]
    np.testing.assert_allclose(
        beam.refine(3).coordinates().reshape(-1, 3).mean(1), beam.coordinates(), atol=1e-9
    )


def test_covering_beams_see_the_whole_grid():
    corners = np.array([(sx, sy) for sx in (-1, 1) for sy in (-1, 1)]) * 0.5 * 0.8 * np.array([112, 96])
    for name, beam in BEAMS.items():
        d = distances(beam, 0, 0)
        reach = np.linalg.norm(corners, axis=1).max()
        assert d[:, 0].min() > reach - 1.2 * beam.spacing and d[:, -1].min() > reach - 1.2 * beam.spacing, (
            name
        )


def test_subset_of_views():
    beam = BEAMS["fan, curved"]
    assert beam.subset([0, 5]).angles == (beam.angles[0], beam.angles[5])
    assert beam.subset(slice(0, None, 2)).views == 12
    assert beam.subset(np.arange(24) < 3).angles == beam.angles[:3]
    x = disc(GRID, 13.3, -7.9, 15.0)
    torch.testing.assert_close(Radon(beam.subset([3, 1]), GRID)(x), Radon(beam, GRID)(x)[:, [3, 1]])


def test_geometry_is_a_value():
    angles = torch.linspace(0, 1, 4)
    beam = ParallelBeam(angles, 10, 1.0)
    assert beam == ParallelBeam(tuple(angles.tolist()), 10, 1.0) and hash(beam) == hash(
        beam.subset(slice(None))
    )
    assert parallel_views(4) == pytest.approx((0, math.pi / 4, math.pi / 2, 3 * math.pi / 4))


def test_refusals():
    with pytest.raises(ValueError, match=r"pixel = -1.0, expected a positive"):
        Grid((4, 4), -1.0)
    with pytest.raises(ValueError, match=r"expected \(rows, columns\)"):
        Grid((4, 0), 1.0)
    with pytest.raises(ValueError, match="0 angles"):
        ParallelBeam((), 10, 1.0)
    with pytest.raises(ValueError, match="finite"):
        ParallelBeam((0.0, math.nan), 10, 1.0)
    with pytest.raises(ValueError, match=r"detectors=0"):
        ParallelBeam((0.0,), 0, 1.0)
    with pytest.raises(ValueError, match="over 180 degrees"):
        FanBeam((0.0,), 800, 1.0, 100.0, 200.0, curved=True)
    with pytest.raises(ValueError, match="inside the grid's circle"):
        FanBeam.covering(GRID, 4, source_origin=50, source_detector=100)
    with pytest.raises(ValueError, match="inside the grid's circle"):
        Radon(FanBeam((0.0,), 10, 1.0, 50.0, 100.0), GRID)
    with pytest.raises(ValueError, match=r"use Radon\(.*sparse"):
        Radon(BEAMS["fan, curved"], GRID, backend="astra")
    with pytest.raises(ValueError, match="backend='gpu'"):
        Radon(BEAMS["parallel"], GRID, backend="gpu")
    with pytest.raises(ValueError, match="kernel='strip'"):
        RadonAstra(BEAMS["parallel"], GRID, kernel="strip")
    with pytest.raises(ValueError, match="oversample=0"):
        simulate_sinogram(torch.zeros(1, 96, 112), BEAMS["parallel"], GRID, 0)
    with pytest.raises(ValueError, match=r"got an image of shape \(96, 112\)"):
        simulate_sinogram(torch.zeros(96, 112), BEAMS["parallel"], GRID)


def test_hounsfield_units():
    assert mu_from_hu(0.0) == pytest.approx(0.0193)
    assert mu_from_hu(-1000.0) == 0
    assert hu_from_mu(0.0) == -1000
    hu = torch.tensor([-1000.0, 40.0, 1500.0])
    torch.testing.assert_close(hu_from_mu(mu_from_hu(hu, 0.021), 0.021), hu)


# --- rays that were lost
SMALL = Grid((14, 12), 2.0)


def gaps(shape, lost=0.2, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) > lost


@pytest.mark.parametrize("backend", ["sparse", "astra"])
def test_an_operator_with_gaps_keeps_the_contract(backend, contract):
    beam = FanBeam.covering(SMALL, 7, **FAN)
    valid = gaps(beam.shape)
    valid[2] = False  # a view without any ray
    A = Radon(beam, SMALL, backend, valid)
    contract(A, tolerance=2e-6 if backend == "sparse" else 1e-5)
    assert (A.geometry, A.grid, A.range) == (beam, SMALL, beam.shape)
    assert A.repeat(3) is A and A.items(slice(0, 1)) is A
    assert torch.equal(A.to("cpu").valid, valid)


@pytest.mark.parametrize("name", ["parallel", "fan, curved, offset"])
def test_lost_rays_measure_nothing_and_the_others_as_before(name):
    valid = gaps(BEAMS[name].shape)
    A, whole = Radon(BEAMS[name], GRID, valid=valid), Radon(BEAMS[name], GRID)
    x, y = torch.rand(2, *GRID.matrix), torch.rand(2, *valid.shape)
    assert torch.equal(A(x)[:, valid], whole(x)[:, valid]) and not A(x)[:, ~valid].any()
    assert torch.equal(A.adjoint(y), whole.adjoint(y * valid))
    assert torch.equal(Radon(BEAMS[name], GRID, valid=torch.ones_like(valid))(x), whole(x))


def test_gaps_of_another_shape_are_refused():
    beam = BEAMS["parallel"]
    for wrong in (torch.ones(beam.detectors, beam.views, dtype=torch.bool), torch.ones(beam.shape)):
        with pytest.raises(ValueError, match=r"got valid of shape .* expected bool \(24, "):
            Radon(beam, GRID, valid=wrong)
