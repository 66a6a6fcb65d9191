"""The shared vocabulary: breakdowns, segments, money, time, errors and settings.

Every package imports this one, so it switches off the telemetry of all dependencies before it can start.
"""

import os

os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "BENTOML_DO_NOT_TRACK": "True", "DO_NOT_TRACK": "1"}
# Idle OpenMP threads sleep: when they spun, training took five times as long beside another busy process.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# MLflow would show a progress bar of its own for every file that it copies.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
