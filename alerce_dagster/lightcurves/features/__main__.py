"""Write the table of all features: `python -m alerce_dagster.lightcurves.features docs/features.md`."""

import sys
from pathlib import Path

from alerce_dagster.lightcurves.features.document import markdown

Path(sys.argv[1] if len(sys.argv) > 1 else "docs/features.md").write_text(markdown(), encoding="utf-8")
