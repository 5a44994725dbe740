"""What every room may use: safe text, files written whole, processes of this machine. Knows nothing of ours."""
