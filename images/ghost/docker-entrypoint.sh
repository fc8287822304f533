#!/bin/bash
# As upstream: chown the content, seed what the content volume lacks, become node.
set -e
if [[ "$*" == node*current/index.js* ]]; then
  if [ "$(id -u)" = 0 ]; then
    find "$GHOST_CONTENT" \! -user node -exec chown node '{}' +
    exec gosu node "$BASH_SOURCE" "$@"
  fi
  base=$GHOST_INSTALL/content.orig
  for src in "$base"/*/ "$base"/themes/*; do
    src=${src%/}
    target=$GHOST_CONTENT/${src#"$base"/}
    mkdir -p "$(dirname "$target")"
    if [ ! -e "$target" ]; then
      tar -cC "$(dirname "$src")" "$(basename "$src")" | tar -xC "$(dirname "$target")"
    fi
  done
fi
exec "$@"
