#!/bin/bash
# Upstream's tests that compose files use; each must hold.
set -eo pipefail
cnf=/var/lib/mysql/.my-healthcheck.cnf

ask() { mariadb --defaults-extra-file="$cnf" --defaults-group-suffix=-client -h 127.0.0.1 --protocol tcp \
  --skip-ssl-verify-server-cert --skip-column-names -B -e "$1"; }

connect() {
  local out
  # An unknown healthcheck user is answered by the server too: it is reachable.
  out=$(ask 'SELECT 1' 2>&1) || [[ $out == *1045* ]]
}

innodb_initialized() {
  [ "$(ask "SELECT 1 FROM information_schema.ENGINES WHERE engine='innodb' AND support IN ('YES','DEFAULT')")" = 1 ]
}

if [ $# -eq 0 ]; then echo "healthcheck.sh: name at least one test" >&2; exit 1; fi
for arg in "$@"; do
  case $arg in
    --connect) connect ;;
    --innodb_initialized) innodb_initialized ;;
    --no-connect) ;;
    *) echo "healthcheck.sh: unknown test $arg" >&2; exit 1 ;;
  esac
done
