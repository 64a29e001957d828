from .dicom import example_ct as example_ct
from .dicom_write import write_dicom as write_dicom
from .image_set import ImageSet as ImageSet, read_images as read_images
from .nifti import write_nifti as write_nifti
from .read import describe as describe, read as read, sniff as sniff
from .scan import (
    FormatError as FormatError,
    Scan as Scan,
    Volume as Volume,
    check as check,
    problems as problems,
)
from .store import (
    read_reconstruction as read_reconstruction,
    read_scan as read_scan,
    write_reconstruction as write_reconstruction,
    write_scan as write_scan,
)
