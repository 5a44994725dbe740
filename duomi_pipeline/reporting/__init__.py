"""What a run tells people: receipt, log, results file. What happened is the engine's."""
