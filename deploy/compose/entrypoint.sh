#!/bin/sh
# Secrets by file: for each NAME_FILE of the environment, NAME is set to what stands in that file, without its last line break.
set -eu
for name in $(env | sed -n 's/^\([A-Z][A-Z0-9_]*\)_FILE=.*/\1/p'); do
  case "$name" in
    # Settings that are paths of files themselves.
    DUOMI_MODELS | DUOMI_OVERRIDES | AWS_CONFIG | AWS_SHARED_CREDENTIALS | AWS_WEB_IDENTITY_TOKEN | SSL_CERT) continue ;;
  esac
  eval "file=\$${name}_FILE"
  if [ ! -r "$file" ]; then
    echo "${name}_FILE=$file cannot be read by user $(id -u)." >&2
    exit 1
  fi
  export "$name=$(cat "$file")"
  unset "${name}_FILE"
done
exec "$@"
