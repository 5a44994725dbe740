#!/bin/sh
# Draw the passwords of a new installation into ./secrets, once. What is there stays.
# The key of the service is yours to give: DUOMI_API_KEY, or typed when asked for.
set -eu
umask 077
cd "$(dirname "$0")"
[ -e secrets ] && { echo "deploy/compose/secrets is there already: nothing was changed." >&2; exit 1; }
if [ -z "${DUOMI_API_KEY+set}" ]; then
  printf 'DUOMI_API_KEY (empty: the sandbox): '
  read -r DUOMI_API_KEY
fi
password() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
mkdir secrets.new
cd secrets.new
postgres=$(password) redis=$(password) storage=$(password) administrator=$(password)
printf %s "$DUOMI_API_KEY" > duomi_api_key
printf %s "$postgres" > postgres_password
printf %s "postgresql://duomi:$postgres@postgres:5432/dagster" > dagster_postgres_url
printf %s "postgresql+psycopg2://duomi:$postgres@postgres:5432/ledger" > duomi_ledger_url
printf 'requirepass %s\n' "$redis" > redis.conf
printf %s "redis://:$redis@redis:6379/0" > celery_broker_url
printf %s "$storage" > storage_key
printf %s "$administrator" > storage_administrator_key
cat > storage.json <<END
{"identities": [
  {"name": "administrator", "actions": ["Admin"],
   "credentials": [{"accessKey": "administrator", "secretKey": "$administrator"}]},
  {"name": "duomi", "actions": ["Read:pictures", "List:pictures", "Write:pictures"],
   "credentials": [{"accessKey": "duomi", "secretKey": "$storage"}]}
]}
END
# The containers' users read them, through a folder that nobody else on this machine can enter.
chmod 444 ./*
cd ..
mv secrets.new secrets
echo "Wrote deploy/compose/secrets: keep it out of version control, and in your backup."
