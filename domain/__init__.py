"""The shared vocabulary: breakdowns, segments, money, time, errors and settings.

Every room imports this one, so here the telemetry of every dependency is switched off before it can start.
"""

import os

os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "BENTOML_DO_NOT_TRACK": "True", "DO_NOT_TRACK": "1"}
# Progress bars are ours: MLflow's own would flicker up at every file that it copies.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
