#!/bin/bash
# The contract of the official mariadb image: variables are read on an empty data folder only.
set -eo pipefail
shopt -s nullglob

datadir=/var/lib/mysql
health=$datadir/.my-healthcheck.cnf
socket=/run/mysqld/init.sock

note() { echo "$(date -u '+%F %T+00:00') [Note] [Entrypoint]: $*"; }
error() { echo "$(date -u '+%F %T+00:00') [ERROR] [Entrypoint]: $*" >&2; exit 1; }

file_env() {
  local var=$1 file_var=$1_FILE value=${2-}
  if [ -n "${!var-}" ] && [ -n "${!file_var-}" ]; then
    error "Both $var and $file_var are set (but are exclusive)"
  fi
  if [ -n "${!var-}" ]; then value=${!var}; elif [ -n "${!file_var-}" ]; then value=$(<"${!file_var}"); fi
  export "$var"="$value"
  unset "$file_var"
}

# MARIADB_X wins over MYSQL_X, as upstream.
either() {
  file_env "MYSQL_$1"
  file_env "MARIADB_$1"
  local mysql=MYSQL_$1 mariadb=MARIADB_$1
  export "$mariadb"="${!mariadb:-${!mysql}}"
}

quote() { local v=${1//\\/\\\\}; printf "'%s'" "${v//\'/\'\'}"; }

# Over the socket, SQL on stdin: no password ever stands in an argument.
sql() { mariadb --no-defaults --protocol=socket --socket="$socket" -uroot --database=mysql --comments; }

begin_temporary() {
  # No TCP until the users exist: a probe over 127.0.0.1 must not see the half-made server.
  "$@" --skip-networking --socket="$socket" --skip-slave-start &
  server=$!
  local i
  for ((i = 0; i < 120; i++)); do
    if echo 'SELECT 1' | sql >/dev/null 2>&1; then return; fi
    kill -0 "$server" 2>/dev/null || error "the temporary server stopped"
    sleep 0.25
  done
  error "the temporary server did not answer"
}

end_temporary() { kill -TERM "$server"; wait "$server"; }

init_files() {
  local f
  for f in /docker-entrypoint-initdb.d/*; do
    note "running $f"
    case $f in
      *.sh) if [ -x "$f" ]; then "$f"; else . "$f"; fi ;;
      *.sql) { echo "USE \`${MARIADB_DATABASE:-mysql}\`;"; cat "$f"; } | sql ;;
      *.sql.gz) { echo "USE \`${MARIADB_DATABASE:-mysql}\`;"; gzip -dc "$f"; } | sql ;;
      *.sql.xz) { echo "USE \`${MARIADB_DATABASE:-mysql}\`;"; xz -dc "$f"; } | sql ;;
      *.sql.zst) { echo "USE \`${MARIADB_DATABASE:-mysql}\`;"; zstd -dc "$f"; } | sql ;;
      *) note "ignoring $f" ;;
    esac
  done
}

health_sql() {
  local password host
  password=$(pwgen -s 32 1)
  (umask 077; printf '[mariadb-client]\nport=3306\nsocket=/run/mysqld/mysqld.sock\nuser=healthcheck\npassword=%s\n' "$password" >"$health")
  for host in 127.0.0.1 ::1 localhost; do
    echo "CREATE OR REPLACE USER healthcheck@'$host' IDENTIFIED BY '$password';"
    echo "GRANT USAGE ON *.* TO healthcheck@'$host';"
  done
}

init_sql() {
  echo "SET @@SESSION.SQL_LOG_BIN=0;"
  echo "DROP DATABASE IF EXISTS test;"
  # mariadb-install-db makes accounts for the host name of this very container.
  echo "DROP USER IF EXISTS root@$(quote "$(hostname)"), root@127.0.0.1, root@'::1';"
  health_sql
  if [ -n "$MARIADB_DATABASE" ]; then echo "CREATE DATABASE IF NOT EXISTS \`$MARIADB_DATABASE\`;"; fi
  if [ -n "$MARIADB_USER" ]; then
    echo "CREATE USER $(quote "$MARIADB_USER")@'%' IDENTIFIED BY $(quote "$MARIADB_PASSWORD");"
    if [ -n "$MARIADB_DATABASE" ]; then
      echo "GRANT ALL ON \`${MARIADB_DATABASE//_/\\_}\`.* TO $(quote "$MARIADB_USER")@'%';"
    fi
  fi
}

root_sql() {
  local host=${MARIADB_ROOT_HOST:-%}
  echo "SET @@SESSION.SQL_LOG_BIN=0;"
  if [ "$host" != localhost ]; then
    echo "CREATE USER 'root'@$(quote "$host") IDENTIFIED BY $(quote "$MARIADB_ROOT_PASSWORD");"
    echo "GRANT ALL ON *.* TO 'root'@$(quote "$host") WITH GRANT OPTION;"
  fi
  echo "ALTER USER 'root'@'localhost' IDENTIFIED BY $(quote "$MARIADB_ROOT_PASSWORD");"
}

init_data() {
  if [ -z "$MARIADB_ROOT_PASSWORD$MARIADB_ALLOW_EMPTY_ROOT_PASSWORD$MYSQL_ALLOW_EMPTY_PASSWORD$MARIADB_RANDOM_ROOT_PASSWORD$MYSQL_RANDOM_ROOT_PASSWORD" ]; then
    error "Database is uninitialized and password option is not specified
	You need to specify one of MARIADB_ROOT_PASSWORD, MARIADB_ROOT_PASSWORD_HASH, MARIADB_ALLOW_EMPTY_ROOT_PASSWORD and MARIADB_RANDOM_ROOT_PASSWORD"
  fi
  if [ "$MARIADB_USER" = root ]; then error 'MARIADB_USER="root": the root user exists anyway, use MARIADB_ROOT_PASSWORD'; fi
  if [ -n "$MARIADB_USER" ] && [ -z "$MARIADB_PASSWORD" ]; then error "MARIADB_USER specified, but missing MARIADB_PASSWORD"; fi
  if [ -n "$MARIADB_RANDOM_ROOT_PASSWORD$MYSQL_RANDOM_ROOT_PASSWORD" ]; then
    MARIADB_ROOT_PASSWORD=$(pwgen -s 32 1)
    note "GENERATED ROOT PASSWORD: $MARIADB_ROOT_PASSWORD"
  fi
  note "Initializing database files"
  mariadb-install-db --datadir="$datadir" --rpm --auth-root-authentication-method=normal \
    --skip-test-db --skip-name-resolve >/dev/null
  begin_temporary "$@"
  if [ -z "$MARIADB_INITDB_SKIP_TZINFO" ]; then
    mariadb-tzinfo-to-sql --skip-write-binlog /usr/share/zoneinfo 2>/dev/null | sql 2>/dev/null || true
  fi
  init_sql | sql
  init_files
  root_sql | sql
  end_temporary
  note "MariaDB init process done. Ready for start up."
}

upgrade_data() {
  local now
  now=$(mariadbd --version | sed -n 's/.*Ver \([0-9.]*\).*/\1/p')
  case $(cat "$datadir/mariadb_upgrade_info" "$datadir/mysql_upgrade_info" 2>/dev/null | head -n 1) in
    "$now"*) return 0 ;;
  esac
  note "Starting mariadb-upgrade"
  # Without its password root is out of reach; skipping the grant tables is upstream's way too.
  begin_temporary "$@" --skip-grant-tables
  mariadb-upgrade --no-defaults --protocol=socket --socket="$socket" -uroot --upgrade-system-tables
  end_temporary
  if [ ! -e "$health" ]; then
    # mariadb-upgrade ends with FLUSH PRIVILEGES, which locks root out again: a second server.
    begin_temporary "$@" --skip-grant-tables
    { echo "FLUSH PRIVILEGES;"; health_sql; } | sql
    end_temporary
  fi
  note "Finished mariadb-upgrade"
}

if [ "${1:0:1}" = - ]; then set -- mariadbd "$@"; fi
for arg in "$@"; do
  case $arg in -\? | --help | --print-defaults | -V | --version) exec "$@" ;; esac
done
if [ "$1" = mariadbd ] || [ "$1" = mysqld ]; then
  # As root, before the user changes: secret files may be root's alone.
  for name in ROOT_PASSWORD ROOT_HOST DATABASE USER PASSWORD; do either "$name"; done
  if [ "$(id -u)" = 0 ]; then
    find "$datadir" /run/mysqld \! -user mysql -exec chown mysql: '{}' +
    exec gosu mysql "$BASH_SOURCE" "$@"
  fi
  if [ ! -d "$datadir/mysql" ]; then
    init_data "$@"
  elif [ -n "$MARIADB_AUTO_UPGRADE" ]; then
    upgrade_data "$@"
  fi
fi
exec "$@"
