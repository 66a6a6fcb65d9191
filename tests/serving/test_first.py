"""What the service does before its other imports."""

import ast
import subprocess
import sys
from pathlib import Path

import fivefold

SERVICE = Path(fivefold.__file__).parent / "serving" / "service.py"


def test_the_collector_looks_seldom_at_what_the_service_imports() -> None:
    module = ast.parse(SERVICE.read_text(encoding="utf-8"))
    imports = [ast.unparse(node) for node in module.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imports[0] == "import fivefold.serving.first"
    asked = "import gc, sys, fivefold.serving.first; print(gc.get_threshold()[0], 'bentoml' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True)
    assert found.stdout.split() == ["50000", "False"]
