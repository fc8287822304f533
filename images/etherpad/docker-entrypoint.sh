#!/bin/sh
set -e
die() { echo "etherpad: $*" >&2; exit 1; }
# As upstream since 3.3.
[ -n "$ADMIN_PASSWORD" ] || die "ADMIN_PASSWORD must be set"
[ -n "$DB_TYPE" ] || die "DB_TYPE must be set"
[ -w var ] || die "/opt/etherpad-lite/var is not writable by uid $(id -u)"
exec "$@"
