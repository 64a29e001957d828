"""scanprior: CT and MRI reconstruction with score-based priors. An operator says what the scanner does, a prior
says what scans look like, a method joins the two. Research use only, not for diagnosis.

The public names are those of the stub beside this file; each is imported when it is first asked for.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
