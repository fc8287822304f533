#!/bin/sh
# Restores one snapshot of this repository with sh, tar, sha256sum and zstd (or gzip).
#   sh restore.sh                             lists the snapshots
#   sh restore.sh <instance>/<time> <folder>  restores one into a new folder; as root, so that owners come back
set -eu
# Dumps and secrets are for the one who restores.
umask 077

here=$(cd "$(dirname "$0")" && pwd)
if [ $# -ne 2 ]; then
    echo "usage: sh restore.sh <instance>/<time> <folder>; the snapshots are:" >&2
    for manifest in "$here"/snapshots/*/*/manifest.json; do
        manifest=${manifest%/manifest.json}
        [ ! -d "$manifest" ] || echo "${manifest#"$here"/snapshots/}"
    done
    for manifest in "$here"/snapshots/*/*/manifest.json.age; do
        [ ! -f "$manifest" ] || { echo "others are encrypted: README.txt says how to decrypt everything first" >&2; break; }
    done
    exit 2
fi
snapshot=$here/snapshots/$1
instance=${1%%/*}
[ ! -f "$snapshot/manifest.json.age" ] || { echo "$1 is encrypted: decrypt everything first, README.txt says how" >&2; exit 1; }
[ -f "$snapshot/manifest.json" ] || { echo "there is no snapshot $1" >&2; exit 1; }
[ ! -e "$2" ] || { echo "$2 is there already: name a new folder" >&2; exit 1; }

# Writes the content of a compressed file to another file.
open() {
    case $1 in
        *.gz) gzip -dc <"$1" >"$2" ;;
        *) zstd -qdc <"$1" >"$2" ;;
    esac
}

mkdir -p "$2"
target=$(cd "$2" && pwd)
work=$target/.restore
export work
mkdir "$work" "$work/objects" "$work/inodes" "$work/artefacts"

# The artefacts, each with the hash that the manifest names.
for file in "$snapshot"/*; do
    name=${file##*/}
    case $name in
        # The manifest, and what was found out since.
        *.json | *.txt) continue ;;
    esac
    hash=$(sha256sum <"$file")
    grep -q "${hash%% *}" "$snapshot/manifest.json" || { echo "$name is damaged: its hash is not in the manifest" >&2; exit 1; }
    open "$file" "$work/artefacts/${name%.*}"
done

if [ -f "$work/artefacts/tree.tar" ]; then
    for pack in "$here/packs/$instance"/*.tar.*; do
        [ -f "$pack" ] || continue
        open "$pack" "$work/pack.tar"
        tar -xf "$work/pack.tar" -C "$work/objects"
    done
    tar -xpf "$work/artefacts/tree.tar" -C "$target" --numeric-owner --xattrs --xattrs-include='*'
    rm "$work/artefacts/tree.tar"
    # Every regular file holds the names of its objects, one a line: check them, join them, and keep the file's times.
    # A file with several names is filled once.
    find "$target" -path "$work" -prune -o -type f -exec sh -euc '
        for file; do
            if [ "$(stat -c %h "$file")" != 1 ]; then
                inode=$work/inodes/$(stat -c %i "$file")
                [ ! -e "$inode" ] || continue
                : >"$inode"
            fi
            cp "$file" "$work/list"
            touch -r "$file" "$work/list"
            while read -r object; do
                [ "$(sha256sum <"$work/objects/$object")" = "$object  -" ] || { echo "an object of $file is damaged: $object" >&2; exit 1; }
            done <"$work/list"
            (cd "$work/objects" && xargs -r cat <"$work/list") >"$file"
            touch -r "$work/list" "$file"
        done' sh {} +
fi

for file in "$work/artefacts"/*; do
    [ ! -f "$file" ] || mv "$file" "$target/"
done
rm -rf "$work"
echo "restored $1 to $target"
