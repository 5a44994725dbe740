"""Tests of the two sources of prompts."""
