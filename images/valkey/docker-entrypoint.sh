#!/bin/sh
# As upstream: options go to the server; root chowns /data and steps down.
set -e
if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then set -- valkey-server "$@"; fi
if [ "$1" = valkey-server ]; then
  if [ "$(id -u)" = 0 ]; then
    find . \! -user valkey -exec chown valkey '{}' +
    exec setpriv --reuid=valkey --regid=valkey --clear-groups "$0" "$@"
  fi
  # Behind Docker's network, without a password, protected mode would refuse every other container.
  set -- "$@" --protected-mode no
fi
exec "$@"
