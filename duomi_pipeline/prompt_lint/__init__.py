"""What a model will misread in a prompt, and the text without it. Imports nothing of ours."""
