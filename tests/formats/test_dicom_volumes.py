"""Several images where one is expected: listed, and one can be chosen."""

import shutil

import numpy as np
import pytest
from dicom_files import SIDE, enhanced, image, save, series
from scanprior.formats.read import describe, read
from scanprior.formats.scan import FormatError


def values(volume):
    return [int(v) for v in volume.data[:, 0, 0]]


def test_echoes_and_times(tmp_path):
    """3 echoes x 2 times x 2 places."""
    made = [
        image(100 * e + 10 * t + p, z=5 * p, EchoTime=4.6 * (e + 1), TemporalPositionIdentifier=t + 1)
        for t in range(2)
        for p in range(2)
        for e in range(3)
    ]
    folder = series(tmp_path / "s", made)
    with pytest.raises(FormatError) as refused:
        read(folder)
    words = str(refused.value)
    assert words.count("2 slices of 8 x 8") == 6 and "echo 9.2 ms, temporal position 2" in words
    assert words.endswith("choose with --volume 0 to 5 or --echo 0 to 2 or --time 0 to 1")
    assert values(read(folder, echo=1, time=1)) == [110, 111]
    assert values(read(folder, volume=5)) == [210, 211]
    with pytest.raises(FormatError, match=r"2 volumes.*choose with --volume 0 to 1 or --time 0 to 1"):
        read(folder, echo=2)
    assert values(read(folder, echo=2, volume=0)) == [200, 201]
    for option in ({"echo": 3}, {"time": 2}, {"volume": 6}, {"volume": -1}):
        with pytest.raises(FormatError, match=r"got --\w+ -?\d, expected 0 to"):
            read(folder, **option)
    assert len(describe(folder)["volumes"]) == 6 and "volumes" not in describe(folder, echo=1, time=1)


def test_a_long_list_is_cut_and_info_lists_all(tmp_path):
    folder = series(tmp_path / "s", [image(TemporalPositionIdentifier=k) for k in range(20)])
    with pytest.raises(
        FormatError, match=r"11: .*; … \(20 in all; `scanprior info` lists them\); choose with"
    ):
        read(folder)
    assert len(describe(folder)["volumes"]) == 20


def test_echoes_that_take_turns_in_a_large_folder_are_listed(tmp_path):
    folder = series(tmp_path / "s", [image(z=k // 3, EchoTime=k % 3) for k in range(3 * 28)])
    assert len(describe(folder)["volumes"]) == 3 and "headers_read" not in describe(folder)


def test_one_enhanced_file_with_several_volumes(tmp_path):
    frames = [{"z": z, "echo": e, "time": t} for e in (5, 10) for t in (1, 2) for z in (2, 0)]
    path = save(tmp_path / "e.dcm", enhanced(frames))
    with pytest.raises(FormatError, match=r"e\.dcm: holds 4 volumes.*--echo 0 to 1.*--time 0 to 1"):
        read(path)
    assert values(read(path, echo=1, time=0)) == [50, 40]
    assert values(read(path, echo=0, volume=1)) == [30, 20]


@pytest.mark.parametrize(
    ("keyword", "pair"),
    [
        ("TriggerTime", (0, 40)),
        ("AcquisitionNumber", (1, 2)),
        ("InversionTime", (100, 800)),
        ("FlipAngle", (3, 17)),
        ("ImageType", (["DERIVED", "PRIMARY", "DIXON", "W"], ["DERIVED", "PRIMARY", "DIXON", "F"])),
        ("InstanceNumber", (1, 2)),  # nothing but the order
    ],
)
def test_what_else_tells_images_apart(keyword, pair, tmp_path):
    for k, value in enumerate(pair):
        for p in range(3):
            path = tmp_path / "s" / f"{k}{p}.dcm"
            save(path, image(10 * k + p, z=p, **({"InstanceNumber": 3 * k + p} | {keyword: value})))
    assert values(read(tmp_path / "s", volume=1)) in ([10, 11, 12], [0, 1, 2])
    assert sorted(values(read(tmp_path / "s", volume=0)) + values(read(tmp_path / "s", volume=1))) == [
        0, 1, 2, 10, 11, 12,
    ]  # fmt: skip
    assert len({v // 10 for v in values(read(tmp_path / "s", volume=1))}) == 1


def test_marks_that_only_vary_along_the_slices_split_nothing(tmp_path):
    made = [image(p, z=p, EchoTime=5 + p % 2, AcquisitionNumber=p, TriggerTime=40 * p) for p in range(4)]
    assert values(read(series(tmp_path / "s", made))) == [0, 1, 2, 3]


def test_a_file_copied_twice_counts_once(tmp_path):
    folder = series(tmp_path / "s", [image(p, z=p) for p in range(3)])
    shutil.copy(folder / "001.dcm", folder / "copy of 001.dcm")
    volume = read(folder)
    assert (
        values(volume) == [0, 1, 2]
        and "1 copy of images counted once (same SOPInstanceUID)" in volume.remarks
    )


def test_one_uid_for_different_slices_is_no_copy(tmp_path):
    folder = series(tmp_path / "s", [image(p, z=p, SOPInstanceUID="1.2.3.4") for p in range(3)])
    assert values(read(folder)) == [0, 1, 2]


def test_a_series_uid_for_every_slice(tmp_path):
    folder = series(tmp_path / "s", [image(p, z=p, SeriesInstanceUID=f"1.2.4.{p}") for p in range(3)])
    volume = read(folder)
    assert values(volume) == [0, 1, 2] and "a series UID of its own" in volume.remarks[0]
    assert describe(folder)["frames"] == 3 and "series" not in describe(folder)


def test_series_without_numbers_can_be_chosen(tmp_path):
    for k, uid in enumerate(("1.2.771", "1.2.772", None)):
        for p in range(2):
            made = image(10 * k + p, z=p, SeriesInstanceUID=uid, SeriesNumber=None)
            save(tmp_path / "s" / f"{k}{p}.dcm", made)
    with pytest.raises(FormatError) as refused:
        read(tmp_path / "s")
    rows = str(refused.value).partition("expected one: ")[2].split("; ")
    assert rows[-1] == "choose with --series and what stands before the colon, or a part of the description"
    found = [values(read(tmp_path / "s", series=row.partition(":")[0])) for row in rows[:-1]]
    assert found == [[0, 1], [10, 11], [20, 21]]
    assert describe(tmp_path / "s", series="1.2.771")["frames"] == 2


def test_every_name_in_a_table_of_series_chooses_that_series(tmp_path):
    """Numbers that occur twice, descriptions that contain numbers, one series that is chosen by its words."""
    stated = [(1, "head 2"), (1, "neck"), (2, "head"), (None, "1")]
    for k, (number, words) in enumerate(stated):
        made = image(10 * k, SeriesInstanceUID=f"1.2.3.{k}.99", SeriesNumber=number, SeriesDescription=words)
        save(tmp_path / "s" / f"{k}.dcm", made)
    for said in (None, "head"):
        with pytest.raises(FormatError) as refused:
            read(tmp_path / "s", series=said)
        rows = str(refused.value).partition("expected one: ")[2].split("; ")[:-1]
        found = [values(read(tmp_path / "s", series=row.partition(":")[0])) for row in rows]
        assert found == ([[0], [10], [20], [30]] if said is None else [[0], [20]])


def test_frames_without_groups(tmp_path):
    pixels = np.stack([np.full((SIDE, SIDE), 10 * k) for k in range(3)])
    path = save(tmp_path / "m.dcm", image(pixels, NumberOfFrames=3))
    volume = read(path)
    assert values(volume) == [0, 10, 20] and volume.spacing == (5, 0.8, 0.8)
    assert "the frames' positions are not stored; taken in their order" in volume.remarks
    assert all("ImagePositionPatient" not in header for header in volume.dicom)
    cut = image(pixels[:2], NumberOfFrames=3)
    with pytest.raises(FormatError, match=r"damaged|frames"):
        read(save(tmp_path / "cut.dcm", cut))
    with pytest.raises(FormatError, match="got 2000000000 frames in a file of fewer bytes"):
        read(save(tmp_path / "many.dcm", image(pixels, NumberOfFrames=2000000000)))


def test_slices_without_positions_are_sorted_by_their_numbers(tmp_path):
    made = [image(p, ImagePositionPatient=None) for p in (0, 1, 2)]
    folder = series(tmp_path / "s", made[::-1])
    volume = read(folder)
    assert values(volume) == [2, 1, 0] and any(
        "sorted by instance number" in words for words in volume.remarks
    )


def test_a_direction_of_zeros_says_nothing(tmp_path):
    made = [image(p, z=p, ImageOrientationPatient=[0] * 6) for p in range(3)]
    assert values(read(series(tmp_path / "s", made))) == [0, 1, 2]


# --- tolerances
def test_float_noise_of_headers_is_no_difference(tmp_path):
    made = [
        image(
            p,
            z=0.9 * p + 5e-7 * (p % 2),
            PixelSpacing=[0.8 + 5e-7 * p, 0.8 - 5e-7 * p],
            ImageOrientationPatient=[1, 5e-7 * p, 0, 0, 1, -5e-7 * p],
        )
        for p in range(5)
    ]
    volume = read(series(tmp_path / "s", made))
    assert values(volume) == [0, 1, 2, 3, 4] and volume.remarks == ()
    assert volume.spacing == pytest.approx((0.9, 0.8, 0.8), abs=1e-5)


def test_tolerances_are_relative(tmp_path):
    """Pixels of half a micrometre, slices 0.4 micrometres apart."""
    made = [image(p, z=4e-4 * p, PixelSpacing=[5e-4, 5e-4]) for p in range(4)]
    volume = read(series(tmp_path / "s", made))
    assert values(volume) == [0, 1, 2, 3] and volume.spacing == pytest.approx((4e-4, 5e-4, 5e-4))
    assert volume.remarks == ()
    gap = read(series(tmp_path / "gap", [image(p, z=4e-4 * p + 4e-4 * (p > 1)) for p in range(4)]), volume=0)
    assert len(gap.data) == 1  # of the size of these pixels, 0.4 micrometres are one place


def test_uneven_slices_are_said(tmp_path):
    volume = read(
        series(tmp_path / "s", [image(p, z=z) for p, z in enumerate((0, 0.01, 0.02, 0.04))]), slices=[0]
    )
    assert volume.remarks == ("slices 0.01 to 0.02 mm apart; slices may be missing",)
