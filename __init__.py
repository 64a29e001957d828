"""scanprior: CT and MRI reconstruction with score-based priors. An operator says what the scanner does, a prior
says what scans look like, a method joins the two. Research use only, not for diagnosis."""

__version__ = "0.1.0"
