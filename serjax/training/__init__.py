"""Training of one run, from a corpus to a run folder.

The members are listed in `__init__.pyi` and imported when they are first used, so that a command's
help, which needs the declared options only, does not wait for JAX.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
