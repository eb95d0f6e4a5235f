#!/usr/bin/env bash
# Makes an Emscripten toolchain available (emcc >= 4.0.10, xsimd >= 13, doctest >= 2.4) and prints the path of a file
# to source:
#
#   source "$(tools/toolchain.sh)"    # HEADWISE_TOOLCHAIN, HEADWISE_INCLUDE, HEADWISE_EMSCRIPTEN_CMAKE, EM_CONFIG, PATH
#
# An emcc on PATH that is new enough is used as it is. Otherwise Emscripten is unpacked from a newer Debian suite into a
# per-user cache. Nothing of that suite is installed into the host, because it would upgrade the host's libc6.
# The headers are taken from $HEADWISE_INCLUDE or the system's include folders if they are new enough.
# Progress goes to stderr. The next run continues an interrupted set-up; two runs wait for each other.
set -euo pipefail
umask 022

RECIPE=1          # part of the cache folder's name: raise it when what this script makes changes
SUITE=forky       # Debian 12's own Emscripten (3.1.6) and xsimd (8.1, no wasm backend) are too old
MIN_EMCC=4.0.10 MIN_XSIMD=13 MIN_DOCTEST=2.4

cache_root="${XDG_CACHE_HOME:-$HOME/.cache}/headwise"

say() { printf '[%4ds] %s\n' "$SECONDS" "$*" >&2; }
die() { printf 'headwise: %s\n' "$*" >&2; exit 1; }
at_least() { [ "$(printf '%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }   # at_least VERSION MINIMUM

# ---- the host's own tools --------------------------------------------------------------------------------------------

emcc_version() {   # of the emcc at $1; read from the file beside it, as starting emcc takes half a second
  local file
  file="$(dirname "$(readlink -f "$1")")/emscripten-version.txt"
  if [ -f "$file" ]; then tr -d '"[:space:]' <"$file"; else "$1" -dumpversion </dev/null 2>/dev/null || true; fi
}
macro() { sed -n "s/^ *# *define *$2 *\([0-9]\{1,\}\).*/\1/p" "$1" 2>/dev/null | head -n 1; }   # macro FILE NAME
xsimd_version() {
  local file="$1/xsimd/config/xsimd_config.hpp"
  echo "$(macro "$file" XSIMD_VERSION_MAJOR).$(macro "$file" XSIMD_VERSION_MINOR)"
}
doctest_version() {
  local file="$1/doctest/doctest.h"
  echo "$(macro "$file" DOCTEST_VERSION_MAJOR).$(macro "$file" DOCTEST_VERSION_MINOR)"
}
headers_fit() { at_least "$(xsimd_version "$1")" "$MIN_XSIMD" && at_least "$(doctest_version "$1")" "$MIN_DOCTEST"; }

host_emcc="$(command -v emcc || true)"
case "$host_emcc" in "$cache_root"/*) host_emcc="" ;; esac   # env.sh was sourced: that one is ours
if [ -n "$host_emcc" ]; then
  version="$(emcc_version "$host_emcc")"
  if ! at_least "$version" "$MIN_EMCC"; then
    say "ignoring the emcc on PATH: version ${version:-unknown}, and headwise needs $MIN_EMCC or newer"
    host_emcc=""
  fi
fi

host_include=""
case "${HEADWISE_INCLUDE:-}" in "$cache_root"/*) HEADWISE_INCLUDE="" ;; esac
for folder in "${HEADWISE_INCLUDE:-}" /usr/local/include /usr/include; do
  if [ -z "$host_include" ] && [ -n "$folder" ] && headers_fit "$folder"; then host_include="$folder"; fi
done

# ---- the folder of the result: one for each recipe and each emcc that is not ours ----------------------------

name="toolchain-$RECIPE"
[ -z "$host_emcc" ] || name="$name-emcc-$version-$(readlink -f "$host_emcc" | cksum | cut -d ' ' -f 1)"
dir="$cache_root/$name"

finish() { echo "$dir/env.sh"; exit 0; }
[ ! -f "$dir/.complete" ] || finish

mkdir -p "$dir"
exec 9>"$dir/.lock"
flock -n 9 || { say "another set-up of the toolchain is running: waiting for it"; flock 9; }
[ ! -f "$dir/.complete" ] || finish
say "setting up the WebAssembly toolchain in $dir (once, two to three minutes)"

# ---- 1. packages: resolved and downloaded by apt, away from the host's own package state ---------------------------

packages=()
[ -n "$host_emcc" ] || packages+=(emscripten)
[ -n "$host_include" ] || packages+=(libxsimd-dev doctest-dev)
apt="$dir/apt"   # kept until the end, so that a second try need not download again

private_apt() { APT_CONFIG="$apt/apt.conf" apt-get -qq "$@" </dev/null >"$apt/log" 2>&1; }
show_log() { sed 's/^/         /' "$apt/log" | tail -n 20 >&2; }

# The mirrors that the host's sources name, whatever the format of those files; the security archive has no suites
# of this kind. This also works before the first `apt-get update`.
mirrors() {
  apt-get update --print-uris -o Dir::State::Lists="$apt/none" -o Debug::NoLocking=true </dev/null 2>/dev/null |
    sed -n "s#^'\(.*\)/dists/.*#\1#p" | awk '!seen[$0]++' | grep -v security
}

# The host's configuration for reaching the mirror is used. Everything else is empty: with an empty status file, apt
# resolves the packages down to libc, so the unpacked programs do not use the host's libraries.
write_apt_config() {
  mkdir -p "$apt"/{none,lists/partial,cache/archives/partial}
  chmod 700 "$apt"   # a proxy's address may hold a password
  : >"$apt/status"
  {
    apt-config dump | grep -E '^(Acquire::|Dir::Etc::(netrc|trusted))' || true
    cat <<END
Dir::State "$apt"; Dir::State::status "$apt/status"; Dir::State::Lists "$apt/lists"; Dir::Cache "$apt/cache";
Dir::Etc::sourcelist "$apt/sources.list"; Dir::Etc::sourceparts "/dev/null";
Dir::Etc::main "/dev/null"; Dir::Etc::parts "/dev/null";
Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "/dev/null";
APT::Install-Recommends "false"; APT::Install-Suggests "false"; APT::Sandbox::User "";
END
  } >"$apt/apt.conf"
}

fetch() {   # fetch PACKAGE...: leaves the .deb files of the packages and all they need in $apt/cache/archives
  local mirror size="" keyring=/usr/share/keyrings/debian-archive-keyring.gpg found=""
  [ -f "$keyring" ] || keyring=""   # apt then takes what it trusts in general
  [ -n "$host_emcc" ] || size=" (170 MB)"
  write_apt_config
  while read -r mirror; do
    echo "deb ${keyring:+[signed-by=$keyring]} $mirror $SUITE main" >"$apt/sources.list"
    if private_apt update --error-on=any; then found="$mirror"; break; fi
  done < <(mirrors)
  [ -n "$found" ] || { show_log; die "none of the mirrors in this system's apt sources serves Debian's '$SUITE' suite"; }
  say "downloading from Debian $SUITE: $* and what they need${size}"
  private_apt autoclean   # an interrupted try may have left versions that the suite has since replaced
  private_apt install --download-only -y "$@" || { show_log; die "apt-get could not download $* from Debian $SUITE"; }
}

# ---- 2. unpack, and let the programs run on this host with the libraries that came with them -----------------------

patch_programs() {   # patch_programs ROOT: the paths written are those after ROOT's final rename to $dir/root
  local root="$1" loader libc llvm file rpath
  loader="$(find "$root/usr/lib" -mindepth 2 -maxdepth 2 -name 'ld-linux*.so.*' | head -n 1)"
  libc="$(dirname "$loader")"
  llvm="$(echo "$root"/usr/lib/llvm-*)"
  rpath="$dir/root/${libc#"$root"/}:$dir/root/${llvm#"$root"/}/lib"
  local programs=() libraries=()
  for file in "$llvm"/bin/* "$root"/usr/bin/wasm*; do
    if [ ! -L "$file" ] && [ "$(head -c 4 "$file" | tail -c 3)" = ELF ]; then programs+=("$file"); fi
  done
  for file in "$libc"/{libLLVM,libclang,liblld,libxml2,libbinaryen}*.so* "$llvm"/lib/{libLLVM,libclang,liblld}*.so*; do
    if [ -f "$file" ] && [ ! -L "$file" ]; then libraries+=("$file"); fi
  done
  printf '%s\0' "${programs[@]}" |
    xargs -0 -n 8 -P 2 patchelf --set-interpreter "$dir/root/${loader#"$root"/}" --force-rpath --set-rpath "$rpath"
  printf '%s\0' "${libraries[@]}" | xargs -0 -n 1 -P 2 patchelf --force-rpath --set-rpath "$rpath"
}

unpack() {
  local root="$dir/root.partial"
  rm -rf "$root" && mkdir "$root"
  say "unpacking"
  printf '%s\0' "$apt"/cache/archives/*.deb | xargs -0 -P 2 -I '{}' dpkg -x '{}' "$root"
  if [ -z "$host_emcc" ]; then
    # Debian's node looks for acorn in /usr/share/nodejs; any other looks in node_modules above the importing file.
    ln -s nodejs "$root/usr/share/node_modules"
    say "pointing LLVM's and Binaryen's programs at their own libraries"
    patch_programs "$root"
  fi
  mv "$root" "$dir/root"
}

if [ ${#packages[@]} -gt 0 ] && [ ! -d "$dir/root" ]; then
  command -v apt-get >/dev/null ||
    die "needs emcc $MIN_EMCC or newer on PATH, and xsimd $MIN_XSIMD and doctest $MIN_DOCTEST or newer in HEADWISE_INCLUDE; without apt-get it cannot fetch them"
  [ -n "$host_emcc" ] || "$(dirname "${BASH_SOURCE[0]}")/machine.sh" toolchain
  fetch "${packages[@]}"
  unpack
fi

# ---- 3. headers in a folder of their own: the unpacked usr/include holds a glibc that would shadow Emscripten's ----

from="${host_include:-$dir/root/usr/include}"
xsimd="$(xsimd_version "$from")" doctest="$(doctest_version "$from")"
refuse() { rm -rf "$dir/root" "$apt"; die "Debian $SUITE has $1 now, and headwise needs $2 or newer"; }   # it may change
at_least "$xsimd" "$MIN_XSIMD" || refuse "xsimd $xsimd" "$MIN_XSIMD"
at_least "$doctest" "$MIN_DOCTEST" || refuse "doctest $doctest" "$MIN_DOCTEST"
rm -rf "$dir/include" && mkdir "$dir/include"
cp -RL "$from/xsimd" "$from/doctest" "$dir/include/"

# ---- 4. Emscripten's configuration, and env.sh -------------------------------------------------------------------

if [ -n "$host_emcc" ]; then
  emscripten="$(dirname "$(readlink -f "$host_emcc")")"
  [ -f "$emscripten/cmake/Modules/Platform/Emscripten.cmake" ] || emscripten="$(em-config EMSCRIPTEN_ROOT)"
  path="$(dirname "$host_emcc")" config="${EM_CONFIG:-}"
else
  emscripten="$dir/root/usr/share/emscripten" path="$emscripten" config="$dir/emscripten.py"
  version="$(emcc_version "$emscripten/emcc")"
  at_least "$version" "$MIN_EMCC" || refuse "Emscripten $version" "$MIN_EMCC"
  command -v node >/dev/null || die "needs Node.js on PATH"
  cat >"$config" <<END
# Emscripten reads this file as Python. Node is looked up at every start, because the one on PATH may change.
import shutil
LLVM_ROOT = '$(echo "$dir"/root/usr/lib/llvm-*/bin)'
BINARYEN_ROOT = '$dir/root/usr'
NODE_JS = shutil.which('node')
CACHE = '$dir/cache'
END
fi
{
  printf 'export HEADWISE_TOOLCHAIN=%q\n' "$dir"
  printf 'export HEADWISE_INCLUDE=%q\n' "$dir/include"
  printf 'export HEADWISE_EMSCRIPTEN_CMAKE=%q\n' "$emscripten/cmake/Modules/Platform/Emscripten.cmake"
  [ -z "$config" ] || printf 'export EM_CONFIG=%q\n' "$config"
  # shellcheck disable=SC2016
  printf 'export PATH=%q:"$PATH"\n' "$path"
} >"$dir/env.sh"
say "Emscripten $version, xsimd $xsimd, doctest $doctest"

# ---- 5. Emscripten builds its system libraries on first use: do it now, for both kinds of binary, and try them ------
# Libraries of an interrupted run are kept: Emscripten locks its cache, and its archiver writes a library in one rename.

try="$dir/try"
rm -rf "$try" && mkdir "$try"
cat >"$try/try.cpp" <<'END'
#include <emscripten/bind.h>
#include <functional>
#include <string>
#include <thread>
#include <vector>
#include <xsimd/xsimd.hpp>
float sum() {
  std::vector<float> values(4, 1.0f);
  std::function<float()> add = [&] { return xsimd::reduce_add(xsimd::batch<float>::load_unaligned(values.data())); };
  float result = 0;
#ifdef __EMSCRIPTEN_PTHREADS__
  std::thread([&] { result = add(); }).join();
#else
  result = add();
#endif
  return result;
}
EMSCRIPTEN_BINDINGS(headwise_try) { emscripten::function("sum", &sum); }
END
echo 'const m = await (await import(process.argv[2])).default(); process.exit(m.sum() === 4 ? 0 : 1);' >"$try/run.mjs"
flags=(-std=c++20 -O3 -fno-exceptions -msimd128 "-I$dir/include" -lembind -sDYNAMIC_EXECUTION=0 -sALLOW_MEMORY_GROWTH=1
       -sMODULARIZE=1 -sEXPORT_ES6=1 -Wno-pthreads-mem-growth)
# shellcheck disable=SC1091
source "$dir/env.sh"
for kind in single threads; do
  say "building Emscripten's system libraries ($kind, about a minute)"
  extra=(); [ "$kind" = single ] || extra=(-pthread -sPTHREAD_POOL_SIZE=1)
  "$path/em++" "${flags[@]}" "${extra[@]}" "$try/try.cpp" -o "$try/$kind.mjs" </dev/null >"$try/log" 2>&1 ||
    { tail -n 20 "$try/log" >&2; die "Emscripten $version cannot compile a small program ($kind)"; }
  node "$try/run.mjs" "./$kind.mjs" >&2 </dev/null ||
    die "a small program compiled by Emscripten fails in Node.js ($kind)"
done

rm -rf "$try" "$apt"
touch "$dir/.complete"
say "the toolchain is ready"
finish
