"""Reports about a run: receipt, log, results file. The run itself is in `engine`."""
