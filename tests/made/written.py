"""What `reconstruct` writes into its folder."""

FILES = [
    "audit.png",
    "dicom",
    "reconstruction.h5",
    "reconstruction.nii.gz",
    "report.html",
    "report.json",
    "report.png",
    "run.toml",
]
