"""What images look like: denoisers, their laws of noise, scaling and training. Know no operator.

The public names are those of the stub beside this file; each is imported when it is first asked for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
