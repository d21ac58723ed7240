"""Speed and memory against peers, run by hand; nothing here is asserted in CI."""

import os

# whatever the environment says: BLAS runs the code that users would get
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)
