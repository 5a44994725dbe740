"""What every room may use: safe text, files written whole, kernel and rights of this process. Knows nothing of ours."""
