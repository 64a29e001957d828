"""What becomes of an ISMRMRD file's readouts: calibration lines, averages, EPI, noise scans, headers as vendors write
them. Files of a known object, against its k-space."""

import numpy as np
import pytest
from ismrmrd_files import (
    BACK,
    BOTH,
    COILS,
    IMAGES,
    KSPACE,
    NAVIGATOR,
    NOISE,
    REFERENCE,
    N,
    encoding,
    lines,
    mrd,
    parallel,
    white,
)
from scanprior.formats.kspace import to_image, to_kspace
from scanprior.formats.read import describe, read
from scanprior.formats.scan import FormatError
from scanprior.formats.store import read_scan, write_scan


def said(scan, words):
    return any(words in remark for remark in scan.remarks)


def rss(images):
    return np.sqrt((np.abs(images) ** 2).sum(0))


def measured(scan):
    return np.flatnonzero(scan.mask.all(-1)).tolist()


# --- calibration lines
CENTRE = range(8, 24)


@pytest.mark.parametrize("mode", ["embedded", ""])
@pytest.mark.parametrize("flags", [[BOTH], [REFERENCE, BOTH]])
def test_embedded_calibration_lines_belong_to_the_image(mode, flags, tmp_path):
    """Flagged as both, or as calibration alone; without a calibrationMode, because no line was measured twice."""
    outside = lines([n for n in range(0, N, 2) if n not in CENTRE])
    readouts = outside + lines(CENTRE[::2], flags=flags) + lines(CENTRE[1::2], flags=[REFERENCE])
    scan = read(mrd(tmp_path / "m.h5", readouts, encoding(more=parallel(mode))))
    assert measured(scan) == sorted({*range(0, N, 2), *CENTRE}) and scan.calibration is None
    assert np.allclose(scan.data[0][:, measured(scan)], KSPACE[:, measured(scan)], atol=1e-6)
    assert said(scan, "not stated (calibrationMode)") == (mode == "")


@pytest.mark.parametrize("mode", ["separate", "external", "other"])
def test_separate_calibration_lines_are_for_the_maps(mode, tmp_path):
    """Of another scaling: never merged; what is not stated is seen from lines that were measured both ways."""
    readouts = lines(range(0, N, 2)) + lines(CENTRE, factor=0.7, flags=[REFERENCE])
    path = mrd(tmp_path / "m.h5", readouts, encoding(more=parallel(mode)))
    scan = read(path)
    assert measured(scan) == list(range(0, N, 2))
    assert np.allclose(scan.data[0][:, ::2], KSPACE[:, ::2], atol=1e-6)
    assert np.allclose(scan.calibration[0], 0.7 * KSPACE[:, 8:24], atol=1e-6)
    assert said(scan, "for coil maps only") and said(scan, "not stated") == (mode == "other")
    facts = describe(path)
    assert (facts["acceleration"], facts["calibration"], facts["calibration_lines"]) == (2.0, mode, 16)
    write_scan(tmp_path / "s.h5", scan)
    again = read_scan(tmp_path / "s.h5")
    assert np.array_equal(again.calibration, scan.calibration)
    assert again.remarks == scan.remarks and again.voxel == scan.voxel == (5.0, 4.0, 4.0)


def test_separate_calibration_of_an_oversampled_readout(tmp_path):
    """The readout's field of view is cut in both, to the same pixels."""
    wide = np.zeros((COILS, N, 2 * N), np.complex64)
    wide[..., N // 2 : N // 2 + N] = IMAGES
    kspace = to_kspace(wide)
    readouts = [{"data": kspace[:, n], "line": n} for n in range(0, N, 2)]
    readouts += [{"data": 3 * kspace[:, n], "line": n, "flags": [REFERENCE]} for n in CENTRE]
    header = encoding((2 * N, N, 1), (256, 128, 5), (N, N, 1), (128, 128, 5), more=parallel("separate"))
    scan = read(mrd(tmp_path / "m.h5", readouts, header))
    assert scan.calibration.shape == (1, COILS, 16, N) and scan.voxel == (5.0, 4.0, 4.0)
    assert np.allclose(scan.calibration[0], 3 * KSPACE[:, 8:24], atol=1e-5)


def test_calibration_with_an_encoding_of_its_own(tmp_path):
    """24 lines of 24 samples over the same field of view; over another one they are not used."""
    few = [{"data": KSPACE[:, n, 4:28], "line": n - 4, "flags": [REFERENCE]} for n in range(4, 28)]
    for field, used in ((128, True), (160, False)):
        header = encoding(more=parallel("separate")) + encoding((24, 24, 1), (field, 128, 5), limits=(12, 23))
        readouts = lines(range(0, N, 2)) + [{**line, "encoding_space_ref": 1} for line in few]
        scan = read(mrd(tmp_path / "m.h5", readouts, header))
        assert (scan.calibration is not None) == used and said(scan, "another field of view") != used
        assert not used or np.allclose(scan.calibration[0], KSPACE[:, 4:28, 4:28], atol=1e-6)


def test_interleaved_sampling_is_calibrated_by_all_times(tmp_path):
    readouts = lines(range(0, N, 2)) + lines(range(1, N, 2), repetition=1)
    scan = read(mrd(tmp_path / "m.h5", readouts, encoding(more=parallel("interleaved"))), time=1)
    assert measured(scan) == list(range(1, N, 2)) and said(scan, "time 1 of 2")
    assert np.allclose(scan.calibration[0], KSPACE, atol=1e-6)


# --- several of what one is expected of
def test_averages_are_averaged(tmp_path):
    """The noise of the mean of four is half of one's."""
    readouts = [line for average in range(4) for line in lines(average=average)]
    noisy = [{**line, "data": line["data"] + 0.07 * white(N, seed)} for seed, line in enumerate(readouts)]
    path = mrd(tmp_path / "m.h5", noisy)
    scan = read(path)
    assert (np.abs(scan.data[0] - KSPACE) ** 2).mean() ** 0.5 == pytest.approx(0.07 / 2, rel=0.05)
    assert said(scan, "every line was measured 4 times") and describe(path)["averages"] == 4


def test_averages_that_interleave_lines(tmp_path):
    """Even lines in averages 0 and 2, odd ones in 1: all are there, and twice measured ones have less noise."""
    readouts = [line for a in range(3) for line in lines(range(a % 2, N, 2), average=a)]
    noisy = [{**line, "data": white(N, seed)} for seed, line in enumerate(readouts)]
    scan = read(mrd(tmp_path / "m.h5", readouts))
    assert scan.mask is None and np.allclose(scan.data[0], KSPACE, atol=1e-6)
    assert said(scan, "16 of 32 lines were measured several times")
    scan = read(mrd(tmp_path / "m.h5", [{"data": white(4096, 99), "flags": [NOISE]}, *noisy]))
    odd, even = (np.sqrt((np.abs(scan.data[0][:, k::2]) ** 2).mean()) for k in (1, 0))
    assert odd / even == pytest.approx(2**0.5, rel=0.1)
    assert scan.noise["sigma"] == pytest.approx(0.75**0.5)  # of half of the lines 1, of half 1/2


def test_echoes_times_and_sets_are_chosen(tmp_path):
    counters = {"contrast": "echo", "repetition": "time", "phase": "time", "set": "volume"}
    for counter, option in counters.items():
        readouts = lines() + lines(factor=2.0, **{counter: 5})
        path = mrd(tmp_path / "m.h5", readouts)
        assert said(read(path), f"{option} 0 of 2") and np.allclose(read(path).data[0], KSPACE, atol=1e-6)
        assert np.allclose(read(path, **{option: 1}).data[0], 2 * KSPACE, atol=1e-6)
        assert describe(path)[{"echo": "echoes", "time": "times", "volume": "volumes"}[option]] == 2
        assert f"{option} 1 of 2 is taken" in str(describe(path, **{option: 1})["remarks"])
        for verb in (read, describe):
            with pytest.raises(FormatError, match=f"{option} 2, expected 0 to 1"):
                verb(path, **{option: 2})


# --- direction and place
def test_reversed_partial_echoes_lie_where_forward_ones_do(tmp_path):
    """24 of 32 samples with the centre at 8; read backwards it is sample 24 - 1 - 8."""
    part = KSPACE[:, :, 8:]
    there = [{"data": part[:, n], "line": n, "center_sample": 8} for n in range(0, N, 2)]
    back = [
        {"data": part[:, n, ::-1], "line": n, "center_sample": 15, "flags": [BACK]} for n in range(1, N, 2)
    ]
    scan = read(mrd(tmp_path / "m.h5", there + back))
    assert np.allclose(scan.data[0][..., 8:], part, atol=1e-6) and not scan.mask[:, :8].any()
    assert said(scan, "both directions and there are no navigators")


def to_and_fro(k, late=1.0, offset=0.5, samples=N):
    """A line as EPI measures it on its way back: reversed, `late` samples late, with another phase."""
    x = (np.arange(samples) - samples // 2) / samples
    return to_kspace(to_image(k, (-1,)) * np.exp(1j * (offset + 2 * np.pi * late * x)), (-1,))[:, ::-1]


def epi(navigators=3, back=(0.7, 0.5), noise=0.0, unit=1.0):
    rng = np.random.default_rng(0)
    readouts = []
    for number in range(-navigators, N):
        n, flags = (N // 2, [NAVIGATOR]) if number < 0 else (number, [])
        data = KSPACE[:, n] + noise * (rng.normal(size=(COILS, N, 2)) @ [1, 1j])
        if (number + navigators if number < 0 else number) % 2:
            data, flags = to_and_fro(data, *back), [*flags, BACK]
        readouts.append({"data": unit * data, "line": n, "flags": flags})
    return readouts


def test_epi_is_corrected_with_its_navigators(tmp_path):
    """Without noise to rounding; with noise to what the same noise makes of lines that are in place."""

    def picture(readouts, unit=1.0):
        scan = read(mrd(tmp_path / "m.h5", readouts, encoding(trajectory="epi")))
        assert said(scan, "corrected with the navigators")
        return rss(to_image(scan.data[0] / np.float32(unit)))

    def error(found, right):
        return np.linalg.norm(found - right) / np.linalg.norm(right)

    assert error(picture(epi()), rss(IMAGES)) < 1e-5
    for unit in (2.0**-80, 2.0**80):
        assert error(picture(epi(unit=unit), unit), rss(IMAGES)) < 1e-5
    assert error(picture(epi(noise=0.02)), picture(epi(back=(0, 0), noise=0.02))) < 0.02


def test_epi_that_cannot_be_corrected_is_refused(tmp_path):
    for navigators in (0, 1):
        path = mrd(tmp_path / "m.h5", epi(navigators), encoding(trajectory="epi"))
        with pytest.raises(
            FormatError, match=r"m\.h5: got EPI without navigators.*correct the odd/even lines first"
        ):
            read(path)
    times = {"rampUpTime": 100, "rampDownTime": 100, "flatTopTime": 300, "numSamples": N}
    for dwell, start in ((12.5, 50), (9.0, 100)):  # on the ramps; on the flat top
        values = {**times, "acqDelayTime": start, "dwellTime": dwell}
        words = "".join(f"<p><name>{k}</name><value>{v}</value></p>" for k, v in values.items())
        described = encoding(trajectory="epi", more=f"<trajectoryDescription>{words}</trajectoryDescription>")
        mrd(tmp_path / f"{start}.h5", epi(), described)
    with pytest.raises(FormatError, match=r"ramps of the readout gradient.*regrid"):
        read(tmp_path / "50.h5")
    assert read(tmp_path / "100.h5").mask is None


def test_readouts_that_say_they_are_uneven_are_refused(tmp_path):
    """A trajectory of a Cartesian scan: even steps are read, ramps are not."""
    even, ramps = ((np.linspace(0, 1, N) ** power)[:, None].astype(np.float32) for power in (1, 2))
    scan = read(mrd(tmp_path / "m.h5", lines(trajectory=[even])))
    assert np.allclose(scan.data[0], KSPACE, atol=1e-6)
    with pytest.raises(FormatError, match="not evenly spaced"):
        read(mrd(tmp_path / "m.h5", lines(trajectory=[ramps])))


# --- millimetres
def test_pixels_that_are_not_square_keep_their_sides(tmp_path):
    header = encoding((N, N, 1), (128, 192, 5), (N, N + 16, 1), (128, 288, 5))
    scan = read(mrd(tmp_path / "m.h5", lines(), header))
    assert scan.voxel == (5.0, 6.0, 4.0) and scan.data.shape[-2:] == (N, N) and not scan.pixel_assumed


def test_slices_are_sorted_by_position(tmp_path):
    """Counted as they were acquired: at 0, 14, 7 mm."""
    places = [0.0, 14.0, 7.0]
    readouts = [
        line
        for z, at in enumerate(places)
        for line in lines(factor=z + 1, slice=z, position=(0, 0, at), slice_dir=(0, 0, 1))
    ]
    scan = read(mrd(tmp_path / "m.h5", readouts))
    assert scan.voxel == (7.0, 4.0, 4.0) and said(scan, "sorted by position")
    assert scan.header["slice_thickness_mm"] == 5.0 and said(scan, "slices of 5 mm lie 7 mm apart")
    assert np.allclose(scan.data[:, 0, 16, 16] / KSPACE[0, 16, 16], [1, 3, 2], atol=1e-5)
    assert np.array_equal(read(tmp_path / "m.h5", slices=[2, 0, 2]).data, scan.data[[2, 0, 2]])


# --- noise scans
def test_a_dead_coil_is_left_out(tmp_path):
    noise, kspace = white(), KSPACE.copy()
    noise[2], kspace[2] = 0, 0
    readouts = [{"data": noise, "flags": [NOISE]}] + [{"data": kspace[:, n], "line": n} for n in range(N)]
    scan = read(mrd(tmp_path / "m.h5", readouts))
    assert scan.data.shape == (1, 3, N, N) and scan.noise["sigma"] == 1.0
    assert said(scan, "coil 2 is dead")
    alone = [{"data": np.delete(noise, 2, 0), "flags": [NOISE]}]
    alone += [{"data": np.delete(kspace, 2, 0)[:, n], "line": n} for n in range(N)]
    assert np.allclose(scan.data, read(mrd(tmp_path / "a.h5", alone)).data, rtol=1e-4)


def test_noise_scans_that_do_not_serve_are_said(tmp_path):
    silent, twice, kspace = white(), white(), KSPACE.copy()
    silent[2], twice[3], kspace[3] = 0, twice[1], kspace[1]
    for noise, data, words in (
        (white(2), KSPACE, "2 samples for 4 coils"),
        (silent, KSPACE, "no noise in coil 2, which measured a signal"),
        (twice, kspace, "singular"),
        (np.zeros((COILS, 400)), KSPACE, "empty"),
        (white(coils=3), KSPACE, "another number of coils"),
    ):
        readouts = [{"data": noise, "flags": [NOISE]}] + [{"data": data[:, n], "line": n} for n in range(N)]
        scan = read(mrd(tmp_path / "m.h5", readouts))
        assert scan.noise is None and np.allclose(scan.data[0], data, atol=1e-6) and said(scan, words), words


def test_the_receivers_bandwidth_is_the_headers(tmp_path):
    first = read(mrd(tmp_path / "m.h5", [{"data": white(), "flags": [NOISE]}, *lines()]))
    stated = "<relativeReceiverNoiseBandwidth>0.5</relativeReceiverNoiseBandwidth>"
    second = read(mrd(tmp_path / "m.h5", [{"data": white(), "flags": [NOISE]}, *lines()], system=stated))
    assert np.allclose(second.data, first.data * (0.79 / 0.5) ** 0.5, rtol=1e-4)
    assert said(first, "0.79") and not said(second, "bandwidth")


# --- headers as vendors write them
@pytest.mark.parametrize(
    "header",
    [
        encoding((N, N, 2)),
        encoding((N, N, "1.0000")),
        encoding((f"{N}.0", N, 1)),
        encoding(limits=(f"{N // 2}.0", f"{N - 1}.0")),
        encoding(recon=""),
        encoding(limits=(0, 0)),  # never filled in: the readouts go beyond
    ],
)
def test_headers_as_vendors_write_them(header, tmp_path):
    scan = read(mrd(tmp_path / "m.h5", lines(), header))
    assert np.allclose(scan.data[0], KSPACE, atol=1e-6) and scan.mask is None and scan.pixel_mm == 4.0


def test_a_second_encoding_is_the_one_its_readouts_name(tmp_path):
    header = encoding((16, 12, 1), (128, 96, 5), limits=(6, 11)) + encoding(field=(96, 128, 3))
    scan = read(mrd(tmp_path / "m.h5", lines(encoding_space_ref=1), header))
    assert np.allclose(scan.data[0], KSPACE, atol=1e-6) and scan.voxel == (3.0, 4.0, 3.0)
    other = [{"data": np.ones((COILS, 16)), "line": n} for n in range(12)]
    scan = read(mrd(tmp_path / "m.h5", other + lines(encoding_space_ref=1), header))
    assert np.allclose(scan.data[0], KSPACE, atol=1e-6) and said(scan, "12 readouts of another encoding")
    with pytest.raises(FormatError, match="no encoding number 2, 2 in all"):
        read(mrd(tmp_path / "m.h5", lines(encoding_space_ref=2), header))


def test_lengths_that_are_not_stored_are_assumed_and_said(tmp_path):
    path = mrd(tmp_path / "m.h5", lines(), encoding(field=("0.0", "0.0", 5), recon=""))
    scan = read(path)
    assert scan.pixel_assumed and scan.voxel == (5.0, 1.0, 1.0) and said(scan, "not stored; 1 mm is assumed")
    assert any("1 mm is assumed" in remark for remark in describe(path)["remarks"])
    scan = read(path, pixel_mm=2.5)
    assert not scan.pixel_assumed and scan.voxel == (5.0, 2.5, 2.5) and not said(scan, "pixel size")
    assert describe(path, pixel_mm=2.5)["pixel_mm"] == (2.5, 2.5)
    path = mrd(tmp_path / "m.h5", lines(), encoding(field=(0, 0, 0), recon_field=(64, 128, 0)))
    scan = read(path)
    assert (
        scan.voxel == (1.0, 4.0, 2.0)
        and not scan.pixel_assumed
        and said(scan, "slice thickness is not stored")
    )
    with pytest.raises(FormatError, match=r"states pixels of 2 x 4 mm, got --pixel-mm 3"):
        read(path, pixel_mm=3)


@pytest.mark.parametrize("matrix", [("x", N, 1), (N + 0.5, N, 1), (0, N, 1), (1e9, N, 1), ("nan", N, 1)])
def test_a_matrix_that_is_none_is_refused(matrix, tmp_path):
    with pytest.raises(FormatError, match=r"m\.h5: the ISMRMRD header cannot be read"):
        read(mrd(tmp_path / "m.h5", lines(), encoding(matrix)))


def test_a_matrix_beyond_memory_is_refused_before_it_is_made(tmp_path):
    path = mrd(tmp_path / "m.h5", lines(), encoding((30000, 30000, 1), limits=(15000, 29999)))
    with pytest.raises(
        FormatError, match=r"m\.h5: k-space as its header has it would take 43.2 GB, more than the 1 GB"
    ):
        read(path, max_memory=1)


# --- slices that were not sampled alike
def test_a_lost_readout_is_lost_in_its_slice_only(tmp_path):
    readouts = [line for z in range(3) for line in lines([n for n in range(N) if (z, n) != (1, 20)], slice=z)]
    path = mrd(tmp_path / "m.h5", readouts)
    scan = read(path)
    assert scan.mask.shape == (3, N, N) and not scan.mask[1, 20].any() and scan.mask.sum() == (3 * N - 1) * N
    assert np.allclose(scan.data[0], KSPACE, atol=1e-6) and not scan.data[1, :, 20].any()
    assert said(scan, "31 to 32 lines") and read(path, slices=[0, 2]).mask is None
    write_scan(tmp_path / "s.h5", scan)
    assert np.array_equal(read_scan(tmp_path / "s.h5", [1, 0]).mask, scan.mask[[1, 0]])
