"""The part of an ISMRMRD XML header that a Cartesian reconstruction needs (fastMRI files carry the same
header).

Nothing of the subject, study or institution is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

from .scan import FormatError, Header


@dataclass(frozen=True)
class MRHeader:
    """Sizes and lengths as (readout, phase).

    Attributes:
        encoded, recon: matrix sizes.
        encoded_mm, recon_mm: fields of view [mm].
        partitions: phase encoding steps in the third direction (1 for 2-D).
        trajectory: "cartesian" or another.
        centre, last: of the phase encoding steps; None where not stated.
        facts: vendor, model, field strength.
    """

    encoded: tuple[int, int]
    encoded_mm: tuple[float, float]
    recon: tuple[int, int]
    recon_mm: tuple[float, float]
    partitions: int
    trajectory: str
    centre: int | None
    last: int | None
    facts: Header

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """Of the encoded grid after the readout's oversampling is removed: (readout, phase)."""
        return self.encoded_mm[0] / self.encoded[0], self.encoded_mm[1] / self.encoded[1]

    def readout(self, samples: int) -> int:
        """How many of the readout's `samples` pixels lie in the reconstructed field of view."""
        return min(samples, round(samples * self.recon_mm[0] / self.encoded_mm[0]))


def parse_header(xml: str, source: str) -> MRHeader:
    """Read the XML. Raises FormatError where it is no XML or lacks encodedSpace or reconSpace."""
    try:
        root = ElementTree.fromstring(xml)

        def value(*names: str) -> str | None:
            return root.findtext(".//" + "/".join(f"{{*}}{name}" for name in names))

        def pair(space: str, what: str) -> tuple[float, float]:
            x, y = float(value(space, what, "x") or ""), float(value(space, what, "y") or "")
            if x <= 0 or y <= 0:
                raise ValueError(f"{space} {what} {x} x {y}")
            return x, y

        encoded, recon = pair("encodedSpace", "matrixSize"), pair("reconSpace", "matrixSize")
        limits = [value("encodingLimits", "kspace_encoding_step_1", name) for name in ("center", "maximum")]
        words = {
            "manufacturer": value("systemVendor"),
            "model": value("systemModel"),
            "sequence": value("sequence_type"),
        }
        facts: Header = {key: word for key, word in words.items() if word}
        if field := value("systemFieldStrength_T"):
            facts["field_tesla"] = float(field)
        return MRHeader(
            encoded=(int(encoded[0]), int(encoded[1])),
            encoded_mm=pair("encodedSpace", "fieldOfView_mm"),
            recon=(int(recon[0]), int(recon[1])),
            recon_mm=pair("reconSpace", "fieldOfView_mm"),
            partitions=int(value("encodedSpace", "matrixSize", "z") or 1),
            trajectory=(value("trajectory") or "cartesian").lower(),
            centre=None if limits[0] is None else int(limits[0]),
            last=None if limits[1] is None else int(limits[1]),
            facts=facts,
        )
    except (ElementTree.ParseError, ValueError) as error:
        raise FormatError(
            f"{source}: the ISMRMRD header cannot be read ({error}), expected XML with encodedSpace and "
            "reconSpace; repair it"
        ) from error
