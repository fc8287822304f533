#!/bin/bash
# The contract of the official mysql image: variables are read on an empty data folder only.
set -eo pipefail
shopt -s nullglob

note() { echo "$(date -u +%FT%TZ) [Note] [Entrypoint]: $*"; }
error() { echo "$(date -u +%FT%TZ) [ERROR] [Entrypoint]: $*" >&2; exit 1; }

file_env() {
  local var=$1 file_var=$1_FILE value=${2-}
  if [ -n "${!var-}" ] && [ -n "${!file_var-}" ]; then
    error "Both $var and $file_var are set (but are exclusive)"
  fi
  if [ -n "${!var-}" ]; then value=${!var}; elif [ -n "${!file_var-}" ]; then value=$(<"${!file_var}"); fi
  export "$var"="$value"
  unset "$file_var"
}

quote() { local v=${1//\\/\\\\}; printf "'%s'" "${v//\'/\'\'}"; }

# Over the socket, SQL on stdin: no password ever stands in an argument.
sql() { mysql --no-defaults --protocol=socket --socket="$socket" -uroot --database=mysql --comments; }

init_files() {
  local f
  for f in /docker-entrypoint-initdb.d/*; do
    note "running $f"
    case $f in
      *.sh) if [ -x "$f" ]; then "$f"; else . "$f"; fi ;;
      *.sql) { echo "USE \`${MYSQL_DATABASE:-mysql}\`;"; cat "$f"; } | sql ;;
      *.sql.gz) { echo "USE \`${MYSQL_DATABASE:-mysql}\`;"; gzip -dc "$f"; } | sql ;;
      *.sql.zst) { echo "USE \`${MYSQL_DATABASE:-mysql}\`;"; zstd -dc "$f"; } | sql ;;
      *) note "ignoring $f" ;;
    esac
  done
}

init_sql() {
  echo "SET @@SESSION.SQL_LOG_BIN=0;"
  if [ -n "$MYSQL_DATABASE" ]; then echo "CREATE DATABASE IF NOT EXISTS \`$MYSQL_DATABASE\`;"; fi
  if [ -n "$MYSQL_USER" ]; then
    echo "CREATE USER $(quote "$MYSQL_USER")@'%' IDENTIFIED BY $(quote "$MYSQL_PASSWORD");"
    if [ -n "$MYSQL_DATABASE" ]; then
      echo "GRANT ALL ON \`${MYSQL_DATABASE//_/\\_}\`.* TO $(quote "$MYSQL_USER")@'%';"
    fi
  fi
}

root_sql() {
  echo "SET @@SESSION.SQL_LOG_BIN=0;"
  if [ -n "$MYSQL_ROOT_HOST" ] && [ "$MYSQL_ROOT_HOST" != localhost ]; then
    echo "CREATE USER 'root'@$(quote "$MYSQL_ROOT_HOST") IDENTIFIED BY $(quote "$MYSQL_ROOT_PASSWORD");"
    echo "GRANT ALL ON *.* TO 'root'@$(quote "$MYSQL_ROOT_HOST") WITH GRANT OPTION;"
  fi
  echo "ALTER USER 'root'@'localhost' IDENTIFIED BY $(quote "$MYSQL_ROOT_PASSWORD");"
}

init_data() {
  if [ -z "$MYSQL_ROOT_PASSWORD$MYSQL_ALLOW_EMPTY_PASSWORD$MYSQL_RANDOM_ROOT_PASSWORD" ]; then
    error "Database is uninitialized and password option is not specified
    You need to specify one of MYSQL_ROOT_PASSWORD, MYSQL_ALLOW_EMPTY_PASSWORD and MYSQL_RANDOM_ROOT_PASSWORD"
  fi
  if [ "$MYSQL_USER" = root ]; then error 'MYSQL_USER="root": the root user exists anyway, use MYSQL_ROOT_PASSWORD'; fi
  if [ -n "$MYSQL_USER" ] && [ -z "$MYSQL_PASSWORD" ]; then error "MYSQL_USER specified, but missing MYSQL_PASSWORD"; fi
  if [ -n "$MYSQL_RANDOM_ROOT_PASSWORD" ]; then
    MYSQL_ROOT_PASSWORD=$(openssl rand -base64 24)
    note "GENERATED ROOT PASSWORD: $MYSQL_ROOT_PASSWORD"
  fi
  note "Initializing database files"
  "$@" --initialize-insecure 2>&1
  socket=/var/run/mysqld/init.sock
  # No TCP until the users exist: a probe over 127.0.0.1 must not see the half-made server.
  "$@" --skip-networking --mysqlx=OFF --socket="$socket" &
  local server=$! i
  for ((i = 0; i < 120; i++)); do
    if echo 'SELECT 1' | sql >/dev/null 2>&1; then break; fi
    kill -0 "$server" 2>/dev/null || error "the temporary server stopped"
    sleep 0.5
  done
  mysql_tzinfo_to_sql /usr/share/zoneinfo 2>/dev/null | sql 2>/dev/null || true
  init_sql | sql
  init_files
  root_sql | sql
  kill -TERM "$server"
  wait "$server"
  note "MySQL init process done. Ready for start up."
}

if [ "${1:0:1}" = - ]; then set -- mysqld "$@"; fi
for arg in "$@"; do
  case $arg in -\? | --help | --print-defaults | -V | --version) exec "$@" ;; esac
done
if [ "$1" = mysqld ]; then
  # As root, before the user changes: secret files may be root's alone.
  file_env MYSQL_ROOT_PASSWORD
  file_env MYSQL_ROOT_HOST %
  file_env MYSQL_DATABASE
  file_env MYSQL_USER
  file_env MYSQL_PASSWORD
  if [ "$(id -u)" = 0 ]; then
    find /var/lib/mysql /var/run/mysqld \! -user mysql -exec chown mysql: '{}' +
    exec gosu mysql "$BASH_SOURCE" "$@"
  fi
  if [ ! -d /var/lib/mysql/mysql ]; then init_data "$@"; fi
fi
exec "$@"
