#!/bin/sh
# As upstream: what lies in /docker-entrypoint.d runs before nginx does.
set -e
if [ "$1" = nginx ]; then
  for f in /docker-entrypoint.d/*.sh; do
    if [ -x "$f" ]; then "$f"; fi
  done
fi
exec "$@"
