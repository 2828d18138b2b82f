"""Runs a Keras script as it is, under the Keras of a generation.

`plain_child.py GENERATION SCRIPT.py`
"""

import os
import runpy
import sys

from transpiler.verify import live

live.import_framework(sys.argv[1])
sys.argv = sys.argv[2:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
