"""The shared vocabulary: breakdowns, segments, money, time, errors and settings.

Every room imports this one, so here the telemetry of every dependency is switched off before it can start.
"""

import os

os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "BENTOML_DO_NOT_TRACK": "True", "DO_NOT_TRACK": "1"}
# Idle OpenMP threads sleep: spinning, they made training five times slower wherever another process was at work.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Progress bars are ours: MLflow's own would flicker up at every file that it copies.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
