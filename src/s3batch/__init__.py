"""s3batch: durable, verified bulk operations on S3 objects, for any S3-compatible store.

Nothing is imported here but the environment's one setting that must be made before numpy is (pyarrow and DuckDB may
import it): OpenBLAS starts a thread per core, with its memory, in each worker process, and nothing here uses it.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"
