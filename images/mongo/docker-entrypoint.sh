#!/bin/bash
# The contract of the official mongo image: variables are read on an empty data folder only.
set -eo pipefail
shopt -s nullglob
die() { echo "error: $*" >&2; exit 1; }

file_env() {
  local var=$1 file_var=$1_FILE value=
  if [ -n "${!var-}" ] && [ -n "${!file_var-}" ]; then
    die "both $var and $file_var are set (but are exclusive)"
  fi
  if [ -n "${!var-}" ]; then value=${!var}; elif [ -n "${!file_var-}" ]; then value=$(<"${!file_var}"); fi
  export "$var"="$value"
  unset "$file_var"
}

if [ "${1:0:1}" = - ]; then set -- mongod "$@"; fi
if [ "$1" != mongod ]; then exec "$@"; fi
if [ "$(id -u)" = 0 ]; then
  find /data/configdb /data/db \! -user mongodb -exec chown mongodb '{}' +
  exec gosu mongodb "$BASH_SOURCE" "$@"
fi

file_env MONGO_INITDB_ROOT_USERNAME
file_env MONGO_INITDB_ROOT_PASSWORD
if [ -z "$MONGO_INITDB_ROOT_USERNAME" ] && [ -n "$MONGO_INITDB_ROOT_PASSWORD" ] ||
   [ -n "$MONGO_INITDB_ROOT_USERNAME" ] && [ -z "$MONGO_INITDB_ROOT_PASSWORD" ]; then
  die "MONGO_INITDB_ROOT_USERNAME and MONGO_INITDB_ROOT_PASSWORD must both be specified"
fi

if [ ! -e /data/db/WiredTiger ] && { [ -n "$MONGO_INITDB_ROOT_USERNAME" ] || [ -n "$(ls /docker-entrypoint-initdb.d)" ]; }; then
  # Another port, so that no probe sees the server before its first user exists.
  mongod --bind_ip 127.0.0.1 --port 27018 --dbpath /data/db --quiet >/dev/null &
  server=$!
  for ((i = 0; i < 120; i++)); do
    if (: >/dev/tcp/127.0.0.1/27018) 2>/dev/null; then break; fi
    kill -0 "$server" 2>/dev/null || die "the temporary server stopped"
    sleep 0.25
  done
  if [ -n "$MONGO_INITDB_ROOT_USERNAME" ]; then
    mongosh --quiet --port 27018 --file /usr/local/lib/mongo-init.js
  fi
  for f in /docker-entrypoint-initdb.d/*; do
    case $f in
      *.sh) . "$f" ;;
      *.js) mongosh --quiet --port 27018 "${MONGO_INITDB_DATABASE:-test}" "$f" ;;
    esac
  done
  kill -TERM "$server"
  wait "$server"
  echo 'MongoDB init process complete; ready for start up.'
fi

if [ -n "$MONGO_INITDB_ROOT_USERNAME" ]; then set -- "$@" --auth; fi
case " $* " in *' --bind_ip'*) ;; *) set -- "$@" --bind_ip_all ;; esac
unset MONGO_INITDB_ROOT_USERNAME MONGO_INITDB_ROOT_PASSWORD MONGO_INITDB_DATABASE
exec "$@"
