#!/usr/bin/env bash
# An installation of several machines, played on this one without containers: PostgreSQL, Redis, an S3 server, the paid service
# (`duomi sandbox`), webserver, daemon and two workers with homes and host names of their own. A backfill of 1,000 prompts is
# started over GraphQL, one worker is killed with requests on the wire, another one is started; then the books of the service,
# the ledger, the bucket and Dagster are compared. It ends with 1 where a promise does not hold, and leaves nothing behind.
#
#   deploy/try-local.sh [--prompts 1000] [--rate 1200] [--latency 0.5] [--keep FOLDER]
#
# Needs `make install`, and on Debian: apt-get install postgresql redis-server util-linux
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-.venv/bin/python}
postgres=$(find /usr/lib/postgresql/*/bin /usr/local/bin /usr/bin -maxdepth 1 -name initdb 2>/dev/null | sort -V | tail -n 1)
postgres=${postgres%/initdb}
for needed in "$python" "$postgres/initdb" redis-server; do
  command -v "$needed" >/dev/null || { echo "$needed is not here: see the head of $0" >&2; exit 2; }
done
"$python" -c 'import boto3, celery, dagster_postgres, moto.server, s3fs' || { echo "run make install" >&2; exit 2; }

folder=$(mktemp --directory -t duomi-try-XXXXXX)
# PostgreSQL refuses to run as root.
as_user=()
if [ "$(id -u)" = 0 ]; then
  as_user=(runuser -u postgres --)
  chown postgres "$folder"
fi
redis=
end() {
  [ -z "$redis" ] || kill "$redis" 2>/dev/null || true
  "${as_user[@]}" "$postgres/pg_ctl" --pgdata "$folder/postgresql" --mode immediate --silent stop 2>/dev/null || true
  rm -rf "$folder"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

free_port() { "$python" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
password=$("$python" -c 'import secrets; print(secrets.token_hex(16))')

echo "Starting PostgreSQL and Redis in $folder …"
port=$(free_port)
echo "$password" | "${as_user[@]}" sh -c 'umask 077 && cat > "$0"' "$folder/password"
"${as_user[@]}" "$postgres/initdb" --pgdata "$folder/postgresql" --username duomi --auth scram-sha-256 --encoding UTF8 \
  --pwfile "$folder/password" >/dev/null
rm "$folder/password"
"${as_user[@]}" "$postgres/pg_ctl" --pgdata "$folder/postgresql" --log "$folder/postgresql.log" --wait --silent start \
  --options "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories= -c max_connections=200"
export TEST_POSTGRES_URL="postgresql+psycopg2://duomi:$password@127.0.0.1:$port/postgres"

port=$(free_port)
echo "requirepass $password" | redis-server - --bind 127.0.0.1 --port "$port" --save "" --dir "$folder" >/dev/null &
redis=$!
export TEST_REDIS_URL="redis://:$password@127.0.0.1:$port/0"
"$python" - <<END
import os, redis, time
client, until = redis.Redis.from_url(os.environ["TEST_REDIS_URL"]), time.monotonic() + 30
while True:
    try:
        client.ping()
        break
    except redis.ConnectionError:
        if time.monotonic() > until:
            raise
        time.sleep(0.1)
END

echo "Starting everything else; this takes some minutes …"
# The last of two equal options counts: what was asked for here.
"$python" -m duomi_pipeline_tests.deploy.two_workers --prompts 1000 --rate 1200 "$@"
