"""Metrics of the service, the platform and the worker.

prometheus_client decides at its import whether the processes of a service share their metrics through files, so their
space is reserved here, before any module of this package imports it.
"""

import os
from typing import Final

from fivefold.domain.settings import read_settings
from fivefold.serving.metrics.shared_files import folder_of_service, reserve_files

NOT_SHARED: Final = reserve_files(os.environ, folder_of_service(read_settings().metrics_files, os.getppid()))
"""Why this process keeps its metrics for itself; empty if it shares them, or is alone."""
