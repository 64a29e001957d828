"""Counts -> line integrals: the scale does not matter, and what was not measured is never a measured zero."""

import numpy as np
import pytest
from scanprior.formats.counts import line_integrals
from scanprior.formats.scan import FormatError

VIEWS, ROWS, COLUMNS = 6, 2, 40
LINE = np.broadcast_to(
    0.03 * np.minimum(np.arange(COLUMNS), np.arange(COLUMNS)[::-1]), (VIEWS, ROWS, COLUMNS)
)
TRUE = LINE.transpose(1, 0, 2)


def measured(beam=10000, dark=100, kind="u2"):
    """(counts, white, dark), the beam above the dark field."""
    frames = np.full((3, ROWS, COLUMNS), dark)
    return tuple(a.astype(kind) for a in (np.exp(-LINE) * beam + dark, frames[:2] + beam, frames))


@pytest.mark.parametrize(
    ("beam", "dark", "kind"),
    [
        (10000, 100, "u2"),
        (1, 0, "f4"),
        (1e-3, 5.0, "f8"),
        (1e7, 0, "f4"),
        (1e6, 10, ">u4"),
        (20000, -7, "i2"),
    ],
)
def test_any_scale(beam, dark, kind):
    found = line_integrals(*measured(beam, dark, kind), "a.h5")
    assert np.abs(found.data - TRUE).max() < 2e-3 and found.data.dtype == np.float32
    assert found.mask is None and found.remarks == ()


@pytest.mark.parametrize("dark", [None, np.zeros((0, ROWS, COLUMNS)), np.zeros((ROWS, COLUMNS))])
def test_no_dark_field_is_zero(dark):
    counts, white, _ = measured(dark=0)
    assert np.abs(line_integrals(counts, white[0], dark, "a.h5").data - TRUE).max() < 2e-3


def dead(counts, white, dark):
    counts[:, :, 12] = white[:, :, 12] = 0


def weak(counts, white, dark):  # 5 above the dark field, of 10000, whatever comes
    counts[:, :, 12] = white[:, :, 12] = 105


def hot(counts, white, dark):
    counts[:, :, 12] = white[:, :, 12] = dark[:, :, 12] = 65535


def blind(counts, white, dark):  # the flat field is right, but the projections see nothing
    counts[:, :, 12] = 90


def saturated_flat(counts, white, dark):
    white[0, :, 12] = 65535


@pytest.mark.parametrize("defect", [dead, weak, hot, blind, saturated_flat])
def test_a_dead_column_is_masked_and_filled(defect):
    parts = measured()
    defect(*parts)
    found = line_integrals(*parts, "a.h5")
    assert np.argwhere(~found.mask.all(0)).ravel().tolist() == [12] and not found.mask[:, 12].any()
    assert np.abs(found.data - TRUE).max() < 2e-3
    assert len(found.remarks) == 1 and "6 of 240 rays" in found.remarks[0]


def test_no_number_in_a_field_is_a_dead_element():
    counts, white, dark = measured(kind="f4")
    white[1, :, 12] = np.nan
    counts[2, :, 25] = np.nan
    found = line_integrals(counts, white, dark, "a.h5")
    assert (~found.mask).sum() == VIEWS + 1 and not found.mask[2, 25]
    assert np.abs(found.data - TRUE).max() < 2e-3


def test_a_ray_lost_in_one_slice_is_interpolated_there():
    counts, white, dark = measured()
    counts[:, 1, 12:14] = white[:, 1, 12:14] = 0
    counts[3, 0, 30] = 65535  # a cosmic ray
    found = line_integrals(counts, white, dark, "a.h5")
    assert found.mask is None and np.abs(found.data - TRUE).max() < 2e-3
    (remark,) = found.remarks
    assert "13 of 480 rays" in remark and "most 2 elements" in remark


def test_a_wide_gap_in_one_slice_is_masked_in_all_unless_too_much():
    counts, white, dark = measured()
    counts[:, 1, 8:12] = white[:, 1, 8:12] = 0
    found = line_integrals(counts, white, dark, "a.h5")
    assert np.argwhere(~found.mask.all(0)).ravel().tolist() == [8, 9, 10, 11]
    assert np.abs(found.data - TRUE).max() < 2e-3 and "left out by the mask" in found.remarks[0]
    counts[:, 1, 8:13] = white[:, 1, 8:13] = 0
    found = line_integrals(counts, white, dark, "a.h5")
    assert found.mask is None and np.abs(found.data - TRUE).max() < 2e-3
    assert "at most 5 elements" in found.remarks[0]


def test_the_ends_of_a_detector_and_a_slice_without_beam():
    counts, white, dark = measured()
    counts[:, 0, :3] = white[:, 0, :3] = 100
    counts[:, 1] = white[:, 1] = 100
    found = line_integrals(counts, white, dark, "a.h5")
    assert np.argwhere(~found.mask.all(0)).ravel().tolist() == [0, 1, 2]
    assert np.allclose(found.data[0, :, :3], TRUE[0, 0, 3], atol=2e-3) and not found.data[1].any()
    assert "1 of 2 slices see no beam" in found.remarks[0]


@pytest.mark.parametrize("rows", [slice(None), 1])  # of one slice too: nothing can fill it
def test_a_view_without_light_is_lost(rows):
    counts, white, dark = measured()
    counts[4, rows] = 99
    found = line_integrals(counts, white, dark, "a.h5")
    assert np.argwhere(~found.mask.all(1)).ravel().tolist() == [4] and not found.data[rows, 4].any()


def test_what_is_below_the_least_is_floored_and_said():
    counts, white, dark = measured()
    counts[0, :, 20] = [100, 40]  # nothing, and less than nothing, above the dark field
    found = line_integrals(counts, white, dark, "a.h5")
    assert found.mask is None and found.data[:, 0, 20] == pytest.approx(np.log(10000), rel=1e-5)
    assert "2 of 480 rays" in found.remarks[0] and "9.2" in found.remarks[0]
    counts, white, dark = measured(1, 0, "f4")
    counts[0, :, 20] = [0, -0.01]
    assert line_integrals(counts, white, dark, "a.h5").data[:, 0, 20] == pytest.approx(
        16 * np.log(2), rel=1e-5
    )


def test_refusals():
    counts, white, dark = measured()
    with pytest.raises(FormatError, match=r"a\.h5: the flat field is nowhere above"):
        line_integrals(counts, dark, white, "a.h5")
    with pytest.raises(FormatError, match=r"a\.h5: 100% of the flat field is saturated \(at 65535"):
        line_integrals(counts, np.full_like(white, 65535), dark, "a.h5")
    with pytest.raises(FormatError, match=r"a\.h5: got a dark field of shape \(3, 2, 39\)"):
        line_integrals(counts, white, dark[:, :, 1:], "a.h5")
    with pytest.raises(FormatError, match=r"a\.h5: got a flat field of shape"):
        line_integrals(counts, white[:, :, 1:], None, "a.h5")
