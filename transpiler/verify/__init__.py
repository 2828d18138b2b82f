"""The proof: the original under Keras and the result under torch, run side by side in child processes.

Importing this package imports neither framework; only the children do.
"""

from transpiler.verify.job import InputSpec
from transpiler.verify.result import Result
from transpiler.verify.run import verify_conversion, verify_file
from transpiler.verify.table import print_results

__all__ = ["InputSpec", "Result", "print_results", "verify_conversion", "verify_file"]
