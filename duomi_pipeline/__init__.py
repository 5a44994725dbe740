"""Duomi Pipeline: text prompts to vertical pictures through the Duomi image API, with Dagster."""
