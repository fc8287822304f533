#!/bin/bash
# The contract of the official postgres image: variables are read on an empty data folder only.
set -Eeo pipefail
shopt -s nullglob

error() { printf 'Error: %s\n' "$*" >&2; exit 1; }

file_env() {
  local var=$1 file_var=$1_FILE value=${2-}
  if [ -n "${!var-}" ] && [ -n "${!file_var-}" ]; then
    error "both $var and $file_var are set (but are exclusive)"
  fi
  if [ -n "${!var-}" ]; then value=${!var}; elif [ -n "${!file_var-}" ]; then value=$(<"${!file_var}"); fi
  export "$var"="$value"
  unset "$file_var"
}

sql() { PGHOST= PGHOSTADDR= psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password -U "$POSTGRES_USER" "$@"; }

init_files() {
  local f
  for f in /docker-entrypoint-initdb.d/*; do
    echo "$0: running $f"
    case $f in
      *.sh) if [ -x "$f" ]; then "$f"; else . "$f"; fi ;;
      *.sql) sql -d "$POSTGRES_DB" -f "$f" ;;
      *.sql.gz) gzip -dc "$f" | sql -d "$POSTGRES_DB" ;;
      *.sql.xz) xz -dc "$f" | sql -d "$POSTGRES_DB" ;;
      *.sql.zst) zstd -dc "$f" | sql -d "$POSTGRES_DB" ;;
      *) echo "$0: ignoring $f" ;;
    esac
  done
}

init_data() {
  if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
    error "Database is uninitialized and superuser password is not specified.
       You must specify POSTGRES_PASSWORD to a non-empty value for the
       superuser. For example, \"-e POSTGRES_PASSWORD=password\" on \"docker run\"."
  fi
  local waldir=()
  if [ -n "$POSTGRES_INITDB_WALDIR" ]; then waldir=(--waldir "$POSTGRES_INITDB_WALDIR"); fi
  # The password goes through a pipe, never an argument.
  eval 'initdb --username="$POSTGRES_USER" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD") "${waldir[@]}" '"$POSTGRES_INITDB_ARGS"
  printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
  # The socket only: a probe over 127.0.0.1 must not see the half-made server.
  pg_ctl -D "$PGDATA" -o "-c listen_addresses='' -p 5432" -w start
  if [ "$POSTGRES_DB" != postgres ]; then
    echo 'CREATE DATABASE :"db";' | PGPASSWORD=$POSTGRES_PASSWORD sql -d postgres -v db="$POSTGRES_DB"
  fi
  PGPASSWORD=$POSTGRES_PASSWORD init_files
  pg_ctl -D "$PGDATA" -m fast -w stop
  echo; echo 'PostgreSQL init process complete; ready for start up.'; echo
}

if [ "${1:0:1}" = - ]; then set -- postgres "$@"; fi
if [ "$1" = postgres ]; then
  # As root, before the user changes: secret files may be root's alone.
  file_env POSTGRES_PASSWORD
  file_env POSTGRES_USER postgres
  file_env POSTGRES_DB "$POSTGRES_USER"
  file_env POSTGRES_INITDB_ARGS
  if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" /var/run/postgresql
    chmod 00700 "$PGDATA" || true
    find "$PGDATA" \! -user postgres -exec chown postgres '{}' +
    chown postgres /var/run/postgresql
    exec gosu postgres "$BASH_SOURCE" "$@"
  fi
  if [ ! -s "$PGDATA/PG_VERSION" ]; then init_data; fi
fi
exec "$@"
