"""fastMRI, ISMRMRD and simple k-space files, made here small, against what was put into them."""

import re

import h5py
import ismrmrd
import numpy as np
import pytest
from ismrmrd import xsd
from scanprior.formats.kspace import crop_readout, measured, to_image, to_kspace
from scanprior.formats.read import describe, read, sniff
from scanprior.formats.scan import FormatError

XML = """<?xml version="1.0"?>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
 <subjectInformation><patientName>Jane Doe</patientName></subjectInformation>
 <acquisitionSystemInformation><systemVendor>ACME</systemVendor>
  <systemFieldStrength_T>1.5</systemFieldStrength_T></acquisitionSystemInformation>
 <experimentalConditions><H1resonanceFrequency_Hz>63500000</H1resonanceFrequency_Hz></experimentalConditions>
 <encoding>
  <encodedSpace><matrixSize><x>16</x><y>10</y><z>1</z></matrixSize>
   <fieldOfView_mm><x>32</x><y>20</y><z>3</z></fieldOfView_mm></encodedSpace>
  <reconSpace><matrixSize><x>8</x><y>8</y><z>1</z></matrixSize>
   <fieldOfView_mm><x>16</x><y>16</y><z>3</z></fieldOfView_mm></reconSpace>
  <encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>7</maximum><center>4</center>
   </kspace_encoding_step_1></encodingLimits>
  <trajectory>cartesian</trajectory>
 </encoding>
</ismrmrdHeader>"""


def picture(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def fastmri_file(path, kspace, *, xml=XML, mask=None):
    with h5py.File(path, "w") as file:
        file["kspace"] = kspace
        if xml:
            file["ismrmrd_header"] = xml
        if mask is not None:
            file["mask"] = mask
        file.attrs["acquisition"] = "CORPD_FBK"
        file.attrs["patient_id"] = "secret"


def kspace_padded():
    """(2, 3, 16, 10), columns 1..8 encoded (centre 4 of 0..7 on a grid of 10), the rest zero."""
    kspace = to_kspace(picture(2, 3, 16, 10))
    kspace[..., [0, 9]] = 0
    return kspace


def test_crop_readout_is_exact():
    image = picture(1, 1, 16, 6)
    cropped = to_image(crop_readout(to_kspace(image), 8, -2))
    assert np.allclose(cropped, image[..., 4:12, :], atol=1e-6)
    assert np.allclose(to_image(crop_readout(to_kspace(image), 3, -1)), image[..., 2:5], atol=1e-6)


@pytest.mark.parametrize("unit", [1e-30, 1e30])
def test_the_reference_of_a_full_measurement_has_its_unit(unit, tmp_path):
    kspace = kspace_padded()
    fastmri_file(tmp_path / "f.h5", kspace * np.float32(unit))
    rss = np.sqrt((np.abs(to_image(kspace)) ** 2).sum(1))[:, 4:12]
    assert np.allclose(read(tmp_path / "f.h5").truth / unit, rss, atol=1e-5)


def test_fastmri_full(tmp_path):
    kspace = kspace_padded()
    fastmri_file(tmp_path / "f.h5", kspace)
    scan = read(tmp_path / "f.h5")
    assert sniff(tmp_path / "f.h5") == "fastmri" and scan.matrix == (8, 10) and scan.pixel_mm == 2.0
    assert np.allclose(to_image(scan.data), to_image(kspace)[..., 4:12, :], atol=1e-6)
    assert scan.mask is not None and list(scan.mask[0]) == [False] + [True] * 8 + [False]
    rss = np.sqrt((np.abs(to_image(kspace)) ** 2).sum(1))[:, 4:12]
    assert scan.truth is not None and np.allclose(scan.truth, rss, atol=1e-5)
    assert "secret" not in str(scan.header) and "Jane" not in str(scan.header)
    assert scan.header["manufacturer"] == "ACME" and scan.header["acquisition"] == "CORPD_FBK"
    assert describe(tmp_path / "f.h5")["encoded"] == (16, 10)


@pytest.mark.parametrize("stored", [True, False])
def test_fastmri_undersampled(stored, tmp_path):
    mask = np.array([0, 1, 0, 0, 1, 1, 0, 0, 1, 0])
    fastmri_file(tmp_path / "f.h5", kspace_padded() * mask, mask=mask if stored else None)
    scan = read(tmp_path / "f.h5")
    assert scan.mask.shape == (8, 10) and (scan.mask == (mask == 1)).all() and scan.truth is None


def test_fastmri_single_coil(tmp_path):
    fastmri_file(tmp_path / "f.h5", to_kspace(picture(2, 8, 10)), xml=None)
    scan = read(tmp_path / "f.h5", slices=[1])
    assert scan.data.shape == (1, 1, 8, 10) and scan.mask is None and scan.truth.shape == (1, 8, 10)


def test_fastmri_averages(tmp_path):
    """Averages that share the lines: each sample is the mean of those that measured it; slices are not averages."""
    kspace = kspace_padded()
    averages = np.stack([kspace * 0.5, kspace * 1.5, kspace])
    averages[0, ..., ::2] = averages[1, ..., ::2] = 0
    fastmri_file(tmp_path / "f.h5", averages)
    once = tmp_path / "once.h5"
    fastmri_file(once, kspace)
    scan = read(tmp_path / "f.h5", slices=[1])
    assert np.allclose(scan.data, read(once, slices=[1]).data, atol=1e-6)
    assert "the mean of 3 averages" in scan.remarks[0] and read(once).remarks == ()
    facts = describe(tmp_path / "f.h5")
    assert facts["slices"] == describe(once)["slices"] == 2 and facts["axes"].startswith("average")


def test_a_fifth_axis_of_unknown_meaning_is_refused(tmp_path):
    with h5py.File(tmp_path / "k.h5", "w") as file:
        file["kspace"] = np.ones((3, 1, 2, 8, 8), np.complex64)
    with pytest.raises(FormatError, match=r"k\.h5: got kspace of shape \(3, 1, 2, 8, 8\).*averages"):
        read(tmp_path / "k.h5")


def test_parts_in_datasets_of_their_own_are_named(tmp_path):
    with h5py.File(tmp_path / "k.h5", "w") as file:
        file["k_real"] = file["k_imag"] = np.ones((1, 2, 8, 8))
    with pytest.raises(FormatError, match=r"k\.h5: .*join real and imaginary part"):
        read(tmp_path / "k.h5")


def test_fastmri_defects(tmp_path):
    fastmri_file(tmp_path / "f.h5", kspace_padded(), mask=np.ones(7))
    with pytest.raises(FormatError, match=r"f\.h5.*length 7.*width 10"):
        read(tmp_path / "f.h5")
    fastmri_file(tmp_path / "f.h5", kspace_padded().real)
    with pytest.raises(FormatError, match="complex"):
        read(tmp_path / "f.h5")
    fastmri_file(tmp_path / "f.h5", kspace_padded(), xml="<broken")
    with pytest.raises(FormatError, match="ISMRMRD header"):
        read(tmp_path / "f.h5")


def test_fastmri_header_as_vendors_write_it(tmp_path):
    """Pixels that are not square, "16.0", no reconSpace, no field of view."""
    wide = XML.replace("<x>32</x><y>20</y>", "<x>32</x><y>30</y>").replace(
        "<x>16</x><y>10</y>", "<x>16.0</x><y>10</y>"
    )
    fastmri_file(tmp_path / "f.h5", kspace_padded(), xml=wide)
    assert read(tmp_path / "f.h5").voxel == (3.0, 2.0, 3.0)
    bare = re.sub("<reconSpace>.*?</reconSpace>", "", XML, flags=re.DOTALL)
    fastmri_file(tmp_path / "f.h5", kspace_padded(), xml=bare)
    scan = read(tmp_path / "f.h5")
    assert scan.voxel == (3.0, 2.0, 2.0)
    assert scan.data.shape == (2, 3, 16, 10)  # nothing says it is oversampled
    bare = bare.replace("<x>32</x><y>20</y>", "<x>0</x><y>0</y>")
    fastmri_file(tmp_path / "f.h5", kspace_padded(), xml=bare)
    scan = read(tmp_path / "f.h5")
    assert scan.pixel_assumed and scan.voxel == (3.0, 1.0, 1.0) and "1 mm is assumed" in scan.remarks[0]
    assert read(tmp_path / "f.h5", pixel_mm=0.8).voxel == (3.0, 0.8, 0.8)
    fastmri_file(tmp_path / "f.h5", to_kspace(picture(2, 8, 10)), xml=None)
    assert read(tmp_path / "f.h5").pixel_assumed and not read(tmp_path / "f.h5", pixel_mm=0.8).pixel_assumed


def ismrmrd_file(path, lines, *, width=16, noise=None, extra=(), xml=XML):
    """lines: {(slice, ky): (coils, samples)}; extra: (slice, ky, data, settings, flags)."""
    dataset = ismrmrd.Dataset(str(path), "dataset", create_if_needed=True)
    dataset.write_xml_header(xml.encode())

    def append(place, line, data, settings=(), flags=()):
        readout = ismrmrd.Acquisition.from_array(data.astype(np.complex64))
        readout.idx.slice, readout.idx.kspace_encode_step_1 = place, line
        readout.center_sample, readout.sample_time_us = data.shape[1] // 2, 5.0
        for name, value in settings:
            setattr(readout.idx if hasattr(readout.idx, name) else readout, name, value)
        for flag in flags:
            readout.set_flag(flag)
        dataset.append_acquisition(readout)

    if noise is not None:
        append(0, 0, noise, flags=[ismrmrd.ACQ_IS_NOISE_MEASUREMENT])
    for (place, line), data in lines.items():
        append(place, line, data)
    for item in extra:
        append(*item)
    dataset.close()


def all_lines(kspace, chosen=range(8)):
    """Lines by their counters: counter 4 is the centre, row 5 of 10."""
    return {(z, n): kspace[z, :, n + 1] for z in range(len(kspace)) for n in chosen}


def turned(kspace):
    """The padded test k-space as (slices, coils, ky = 10, kx = 16)."""
    return np.ascontiguousarray(kspace_padded().swapaxes(-1, -2)) if kspace is None else kspace


def test_ismrmrd_full(tmp_path):
    kspace = turned(None)
    lines = all_lines(kspace)
    extra = [
        (0, 3, kspace[0, :, 4] * 7, [("repetition", 1)], []),
        (1, 2, kspace[0, :, 4] * 5, [], [ismrmrd.ACQ_IS_PHASECORR_DATA]),
    ]
    ismrmrd_file(tmp_path / "m.h5", lines, extra=extra)
    assert sniff(tmp_path / "m.h5") == "ismrmrd" and describe(tmp_path / "m.h5")["readouts"] == 18
    scan = read(tmp_path / "m.h5")
    assert scan.data.shape == (2, 3, 10, 8) and scan.pixel_mm == 2.0 and scan.noise is None
    assert np.allclose(to_image(scan.data), to_image(kspace)[..., 4:12], atol=1e-6)
    assert list(scan.mask.all(1)) == [False] + [True] * 8 + [False]
    assert any("time 0 of 2" in remark for remark in scan.remarks)
    assert "Jane" not in str(scan.header)
    assert np.array_equal(read(tmp_path / "m.h5", slices=[1]).data[0], scan.data[1])


def test_ismrmrd_undersampled_and_reversed(tmp_path):
    kspace = turned(None)
    lines = all_lines(kspace, chosen=[0, 2, 4])
    extra = [(z, 6, kspace[z, :, 7, ::-1], [], [ismrmrd.ACQ_IS_REVERSE]) for z in range(2)]
    ismrmrd_file(tmp_path / "m.h5", lines, extra=extra)
    scan = read(tmp_path / "m.h5")
    assert list(np.flatnonzero(scan.mask.all(1))) == [1, 3, 5, 7] and not scan.mask[[0, 2, 4, 6, 8, 9]].any()
    expected = crop_readout(kspace, 8, -1)[:, :, [1, 3, 5, 7]]
    assert np.allclose(scan.data[:, :, [1, 3, 5, 7]], expected, atol=1e-6)


def test_ismrmrd_asymmetric_echo(tmp_path):
    """12 samples with the centre at 4 lie at 4..15 of 16; the oversampling stays."""
    kspace = turned(None)[:1]
    extra = [(0, n, kspace[0, :, n + 1, 4:], [("center_sample", 4)], []) for n in range(8)]
    ismrmrd_file(tmp_path / "m.h5", {}, extra=extra)
    scan = read(tmp_path / "m.h5")
    assert np.array_equal(scan.data[0, :, 1:9, 4:], kspace[0, :, 1:9, 4:]) and not scan.mask[:, :4].any()


def test_ismrmrd_noise_whitens(tmp_path):
    """With a scan of pure noise the whitened k-space has unit covariance (the bandwidth factor aside)."""
    mixing = np.array([[2, 0, 0], [1, 1, 0], [0.5, 0, 3]]) * (1 + 0.5j)
    noise = mixing @ picture(3, 20000, seed=3) / np.sqrt(2)
    kspace = np.zeros((2, 3, 10, 16), np.complex64)
    kspace[:, :, 1:9] = (
        (mixing @ picture(3, 2 * 8 * 16, seed=4) / np.sqrt(2)).reshape(3, 2, 8, 16).swapaxes(0, 1)
    )
    ismrmrd_file(tmp_path / "m.h5", all_lines(kspace), noise=noise)
    scan = read(tmp_path / "m.h5")
    assert scan.noise == {"type": "complex_gaussian", "sigma": 1.0}
    samples = scan.data[:, :, 1:9].swapaxes(0, 1).reshape(3, -1) * np.sqrt(0.79)
    covariance = samples @ samples.conj().T / samples.shape[1]
    assert np.abs(covariance - np.eye(3)).max() < 4 / np.sqrt(samples.shape[1])


def test_ismrmrd_refusals(tmp_path):
    lines = all_lines(turned(None))
    partition = [(0, 3, lines[0, 3], [("kspace_encode_step_2", 1)], [])]
    for change, extra, words in (
        (("<trajectory>cartesian", "<trajectory>radial"), (), "radial"),
        (("", ""), partition, "3-D"),
        (("<center>4<", "<center>0<"), (), "lines 0 to 9"),
    ):
        (tmp_path / "m.h5").unlink(missing_ok=True)
        ismrmrd_file(tmp_path / "m.h5", lines, extra=extra, xml=XML.replace(*change))
        with pytest.raises(FormatError, match=words):
            read(tmp_path / "m.h5")


def test_header_parses_with_the_package():
    header = xsd.CreateFromDocument(XML.encode())
    assert header.encoding[0].encodedSpace.matrixSize.x == 16  # our test XML is real ISMRMRD


@pytest.mark.parametrize("stored", [True, False])
def test_simple_kspace(stored, tmp_path):
    kspace = picture(2, 1, 6, 4)
    mask = np.random.default_rng(0).random((6, 4)) > 0.5
    with h5py.File(tmp_path / "k.h5", "w") as file:
        file["kspace"] = kspace * mask
        file.attrs["pixel_mm"] = 1.7
        if stored:
            file["mask"] = mask
    scan = read(tmp_path / "k.h5")
    assert np.array_equal(scan.data, kspace * mask) and (scan.mask == mask).all() and scan.pixel_mm == 1.7


@pytest.mark.parametrize("stored", [True, False])
def test_simple_kspace_whose_slices_were_sampled_differently(stored, tmp_path):
    """What one slice lacks is not a measured zero because another has it; a slice of zeros counts as the others."""
    masks = np.random.default_rng(0).random((3, 6, 4)) > 0.5
    kspace = picture(3, 2, 6, 4) * masks[:, None]
    kspace[2] = 0
    with h5py.File(tmp_path / "k.h5", "w") as file:
        file["kspace"] = kspace
        if stored:
            file["mask"] = masks
    scan = read(tmp_path / "k.h5")
    assert scan.mask.shape == (3, 6, 4) and (scan.mask[:2] == masks[:2]).all()
    assert (scan.mask[2] == (masks[2] if stored else masks[0] | masks[1])).all()
    assert (read(tmp_path / "k.h5", slices=[1]).mask.reshape(6, 4) == masks[1]).all()


def test_a_line_that_one_slice_lacks_was_not_measured_but_a_sample_that_is_zero_was():
    kspace = picture(2, 1, 40, 30)
    kspace[0, 0, 3, 7] = kspace[1, 0, 20, 2] = 0
    assert measured(kspace) is None
    kspace[1, 0, 5] = 0
    assert measured(kspace).shape == (2, 40, 30) and not measured(kspace)[1, 5].any()
    assert measured(kspace[:, :, :, ::-1])[0].sum() == 40 * 30 - 1
    columns = np.ascontiguousarray(kspace.swapaxes(-1, -2))
    assert (measured(columns) == measured(kspace).swapaxes(-1, -2)).all()
    kspace[:, 0, 5] = 0
    assert measured(kspace).shape == (40, 30) and measured(kspace).sum() == 39 * 30


def test_real_kspace(shared):
    low = read(shared / "mri/raw/ulf_patient6a_gre.h5")
    assert low.data.shape == (4, 1, 128, 196) and low.mask is None
    brain = read(shared / "mri/raw/brain_8ch_poisson.h5")
    assert brain.mask.shape == (230, 180) and 0.1 < brain.mask.mean() < 0.15
