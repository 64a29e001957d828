"""ISMRMRD files of a known object, made from scratch."""

import ismrmrd
import numpy as np
from scanprior.formats.kspace import to_kspace

N, COILS = 32, 4
REFERENCE, BOTH = ismrmrd.ACQ_IS_PARALLEL_CALIBRATION, ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING
NOISE, BACK, NAVIGATOR = (
    ismrmrd.ACQ_IS_NOISE_MEASUREMENT,
    ismrmrd.ACQ_IS_REVERSE,
    ismrmrd.ACQ_IS_PHASECORR_DATA,
)


def space(name, matrix, field):
    def sides(values):
        return "".join(f"<{axis}>{value}</{axis}>" for axis, value in zip("xyz", values, strict=True))

    size, mm = f"<matrixSize>{sides(matrix)}</matrixSize>", f"<fieldOfView_mm>{sides(field)}</fieldOfView_mm>"
    return f"<{name}>{size}{mm}</{name}>"


def encoding(
    matrix=(N, N, 1), field=(128, 128, 5), recon=None, recon_field=None, limits=(N // 2, N - 1), trajectory="cartesian",
    more="",
):  # fmt: skip
    """An <encoding>; recon="" leaves reconSpace out."""
    centre, last = limits
    spaces = space("encodedSpace", matrix, field)
    if recon != "":
        spaces += space("reconSpace", recon or (*matrix[:2], 1), recon_field or field)
    step = f"<minimum>0</minimum><maximum>{last}</maximum><center>{centre}</center>"
    limits = f"<encodingLimits><kspace_encoding_step_1>{step}</kspace_encoding_step_1></encodingLimits>"
    return f"<encoding>{spaces}{limits}<trajectory>{trajectory}</trajectory>{more}</encoding>"


def parallel(mode):
    factor = "<kspace_encoding_step_1>2</kspace_encoding_step_1>"
    stated = f"<calibrationMode>{mode}</calibrationMode>" if mode else ""
    return f"<parallelImaging><accelerationFactor>{factor}</accelerationFactor>{stated}</parallelImaging>"


def mrd(path, readouts, header=None, system=""):
    """Write readouts: dicts of data (coils, samples), flags, what the head has, and counters."""
    path.unlink(missing_ok=True)
    dataset = ismrmrd.Dataset(str(path), "dataset", create_if_needed=True)
    body = f"<acquisitionSystemInformation>{system}</acquisitionSystemInformation>{header or encoding()}"
    root = 'ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"'
    dataset.write_xml_header(f"<{root}>{body}</ismrmrdHeader>".encode())
    for entry in readouts:
        data, flags = np.asarray(entry.pop("data"), np.complex64), entry.pop("flags", ())
        one = ismrmrd.Acquisition.from_array(data, *entry.pop("trajectory", ()))
        one.center_sample, one.sample_time_us = data.shape[1] // 2, 5.0
        one.idx.kspace_encode_step_1 = entry.pop("line", 0)
        for name, value in entry.items():
            value = tuple(value) if isinstance(value, list) else value
            setattr(one.idx if hasattr(one.idx, name) else one, name, value)
        for flag in flags:
            one.set_flag(flag)
        dataset.append_acquisition(one)
    dataset.close()
    return path


def made_of_coils():
    """(coil images, their k-space), (COILS, N, N): an ellipse with a phase, seen by coils around it."""
    y, x = np.mgrid[-1 : 1 : N * 1j, -1 : 1 : N * 1j]
    image = ((x / 0.55) ** 2 + (y / 0.7) ** 2 < 1) + 0.8 * ((x - 0.15) ** 2 + (y + 0.2) ** 2 < 0.04)
    angle = (2 * np.pi * np.arange(COILS) / COILS)[:, None, None]
    maps = np.exp(-((x - np.cos(angle)) ** 2 + (y - np.sin(angle)) ** 2) / 1.5) * np.exp(
        1j * (angle + x * np.cos(angle))
    )
    coils = (maps * image * np.exp(0.6j * x + 0.4j * y)).astype(np.complex64)
    return coils, to_kspace(coils)


IMAGES, KSPACE = made_of_coils()


def lines(which=range(N), factor=1.0, **facts):
    return [{"data": factor * KSPACE[:, n], "line": n, **facts} for n in which]


def white(samples=400, seed=3, coils=COILS):
    """Noise of variance 1."""
    return np.random.default_rng(seed).normal(size=(coils, samples, 2)) @ [1, 1j] / 2**0.5
