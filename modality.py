"""What kind of images: CT, MR, or pictures in colour. One vocabulary for scans, volumes, cards and intensities."""

from __future__ import annotations

from enum import StrEnum


class Modality(StrEnum):
    """DICOM's words, which are those of cards; pictures in colour are RGB. `Modality("ct")` and `Modality("mri")` are
    understood: simulations and our HDF5 files say so (`kind`)."""

    CT = "CT"
    MR = "MR"
    RGB = "RGB"

    @property
    def kind(self) -> str:
        """The word of simulations and of our HDF5 files."""
        return {"CT": "ct", "MR": "mri"}.get(self.value, self.value)

    @classmethod
    def _missing_(cls, value: object) -> Modality | None:
        return {"ct": cls.CT, "mri": cls.MR}.get(str(value))
