"""Reconstructions without a prior of images: classes as the command line runs them, functions as the papers have them.

The public names are those of the stub beside this file; each is imported when it is first asked for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
