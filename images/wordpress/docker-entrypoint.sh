#!/bin/bash
# As upstream: the code lives in the volume and is copied only when index.php is missing.
set -eo pipefail
if [[ $1 == apache2* ]]; then
  if [ ! -e index.php ] && [ ! -e wp-includes/version.php ]; then
    echo "WordPress not found in $PWD - copying now..." >&2
    if [ "$(id -u)" = 0 ] && [ "$(stat -c %u:%g .)" = 0:0 ]; then chown www-data:www-data .; fi
    tar -C /usr/src/wordpress --owner=www-data --group=www-data -c . | tar -x --skip-old-files -f -
    echo "Complete! WordPress has been successfully copied to $PWD" >&2
  fi
  if [ ! -s wp-config.php ] && compgen -e WORDPRESS_ >/dev/null; then
    echo "No 'wp-config.php' found in $PWD, but 'WORDPRESS_...' variables supplied; copying 'wp-config-docker.php'" >&2
    # Salts that no variable gives are drawn once for this volume.
    while IFS= read -r line; do
      while [[ $line == *'put your unique phrase here'* ]]; do
        line=${line/put your unique phrase here/$(head -c 48 /dev/urandom | sha1sum | cut -d' ' -f1)}
      done
      printf '%s\n' "$line"
    done </usr/src/wordpress/wp-config-docker.php >wp-config.php
    chown www-data:www-data wp-config.php 2>/dev/null || true
  fi
fi
exec "$@"
