"""What every room may use: outside text made fit for one line, processes of this machine. Knows nothing of ours."""
