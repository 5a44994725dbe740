"""Tests of the engine: real files and a real ledger, against the sandbox over HTTP."""
