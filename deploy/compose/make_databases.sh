#!/bin/sh
# Run by the image of PostgreSQL when its volume is new: one database for Dagster, one for the ledger.
set -eu
psql --username "$POSTGRES_USER" --dbname postgres --command "CREATE DATABASE ledger"
