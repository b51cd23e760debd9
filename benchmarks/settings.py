"""The site's own settings, on one of the benchmarks' databases; `BENCH_HOST` puts the counting proxy in between."""

import os

from carecollective.settings import *  # noqa: F403
from carecollective.settings import DATABASES

DATABASES["default"]["NAME"] = os.environ["BENCH_DATABASE"]
if os.environ.get("BENCH_HOST"):
    DATABASES["default"]["HOST"] = os.environ["BENCH_HOST"]
