"""One pixel grid: exact means, right pixel sizes, padding and cutting around the centre."""

import numpy as np
import pytest
from scanprior.formats.grid import middle, to_grid
from scanprior.formats.scan import FormatError


def test_a_multiple_of_the_matrix_is_averaged_exactly():
    image = np.random.default_rng(0).uniform(-1000, 2000, (512, 512)).astype(np.float32)
    small, side, extent = to_grid(image, (0.7, 0.7), 256, -1024.0)
    assert side == pytest.approx(1.4) and extent == (256, 256) and small.dtype == np.float32
    np.testing.assert_allclose(small, image.reshape(256, 2, 256, 2).mean((1, 3)), atol=2e-3)
    third, side, _ = to_grid(image[:192, :192], (0.7, 0.7), 64, 0.0)
    assert side == pytest.approx(2.1)
    np.testing.assert_allclose(third, image[:192, :192].reshape(64, 3, 64, 3).mean((1, 3)), atol=2e-3)


def test_complex_images_keep_their_phase():
    rng = np.random.default_rng(0)
    image = (rng.standard_normal((64, 64)) + 1j * rng.standard_normal((64, 64))).astype(np.complex64)
    small, _, _ = to_grid(image, (1.0, 1.0), 32, 0.0)
    assert small.dtype == np.complex64
    np.testing.assert_allclose(small, image.reshape(32, 2, 32, 2).mean((1, 3)), atol=1e-5)


def test_other_factors_keep_the_mean_and_the_places():
    y, x = np.mgrid[:80, :80]
    image = np.exp(-((x - 50) ** 2 + (y - 30) ** 2) / 100).astype(np.float32)
    small, side, extent = to_grid(image, (1.0, 1.0), 64, 0.0)
    assert side == pytest.approx(1.25) and extent == (64, 64)
    assert small.mean() == pytest.approx(image.mean(), rel=1e-4)
    rows, columns = np.mgrid[:64, :64]
    centre = [(small * n).sum() / small.sum() for n in (rows, columns)]
    np.testing.assert_allclose((np.asarray(centre) + 0.5) * 1.25 - 0.5, [30, 50], atol=0.02)


def test_a_native_size_that_fits_is_only_padded():
    image = np.random.default_rng(0).random((40, 48)).astype(np.float32)
    out, side, extent = to_grid(image, (0.9, 0.9), 64, -5.0)
    assert side == 0.9 and extent == (40, 48)
    np.testing.assert_array_equal(out[middle(64, 40), middle(64, 48)], image)
    assert (out == -5.0).sum() == 64 * 64 - 40 * 48


def test_pixels_become_square_and_none_finer_than_measured():
    image = np.ones((60, 40), np.float32)
    _, side, extent = to_grid(image, (0.5, 1.0), 64, 0.0)
    assert side == 1.0 and extent == (30, 40)


def test_a_size_asked_for():
    image = np.random.default_rng(0).random((128, 128)).astype(np.float32)
    out, side, extent = to_grid(image, (0.5, 0.5), 32, 0.0, pixel_mm=1.0)  # 64 pixels, 32 of them kept
    assert side == 1.0 and extent == (32, 32)
    means = image.reshape(64, 2, 64, 2).mean((1, 3))
    np.testing.assert_allclose(out, means[middle(64, 32), middle(64, 32)], atol=1e-5)
    with pytest.raises(FormatError, match=r"coarse pixels: 0\.5 mm"):
        to_grid(image, (0.5, 0.5), 256, 0.0, pixel_mm=0.25)


def test_an_image_much_smaller_than_the_matrix_is_refused():
    with pytest.raises(FormatError, match="small image: 30 x 30"):
        to_grid(np.ones((30, 30), np.float32), (1.0, 1.0), 64, 0.0)


@pytest.mark.parametrize(("n", "keep"), [(8, 4), (8, 5), (9, 4), (9, 5), (7, 7)])
def test_the_origin_stays_the_origin(n, keep):
    index = np.arange(n)[middle(n, keep)]
    assert len(index) == keep and index[keep // 2] == n // 2
