"""What a refresh pays for importing the statistics (docs/adr/0020)."""

import subprocess
import sys
from pathlib import Path

from experiment_pipeline import stats

MODULES = sorted(path.stem for path in Path(stats.__path__[0]).glob("[!_]*.py"))
SLOW = ("scipy.stats", "scipy.optimize", "pandas", "pyarrow", "matplotlib")


def test_imports__every_statistic__loads_nothing_slow() -> None:
    imports = "; ".join(f"import experiment_pipeline.stats.{module}" for module in MODULES)
    check = f"import sys; {imports}; print([name for name in {SLOW!r} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert (shown.stdout, shown.stderr) == ("[]\n", "")
