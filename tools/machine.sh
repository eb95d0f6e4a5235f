#!/usr/bin/env bash
# Installs missing programs that our scripts call, from the host's own Debian release, as root or with sudo without a
# password. Otherwise it says once what is missing and which command installs it.
#
#   tools/machine.sh toolchain|build|test|fuzz ...      silent and quick when nothing is missing
#
# Progress goes to stderr; stdout stays empty.
set -euo pipefail

# Each entry is PROGRAM=PACKAGE (any program of that name is accepted), or a PACKAGE without a program.
toolchain=(patchelf=patchelf python3=python3)                              # what tools/toolchain.sh calls
build=("${toolchain[@]}" cmake=cmake ninja=ninja-build "g++=g++")          # g++ brings the sanitizers' libraries as well
test=(clang-format=clang-format chromium=chromium firefox-esr=firefox-esr
      WebKitWebDriver=webkit2gtk-driver Xvfb=xvfb xauth=xauth              # the driver brings WebKitGTK's MiniBrowser
      fonts-dejavu-core                                                    # without a font, pages render empty boxes
      libbenchmark-dev)                                                    # for tests/bench/native.cpp
fuzz=("clang++=clang" libclang-rt-dev)                                     # the latter brings libFuzzer and its sanitizers

say() { printf '[%4ds] %s\n' "$SECONDS" "$*" >&2; }
die() { printf 'headwise: %s\n' "$*" >&2; exit 1; }

wanted=()
for group in "$@"; do
  case "$group" in
    toolchain) wanted+=("${toolchain[@]}") ;;
    build) wanted+=("${build[@]}") ;;
    test) wanted+=("${test[@]}") ;;
    fuzz) wanted+=("${fuzz[@]}") ;;
    *) die "tools/machine.sh knows the groups toolchain, build, test and fuzz, not '$group'" ;;
  esac
done

missing=()
for entry in "${wanted[@]}"; do
  case "$entry" in
    *=*) command -v "${entry%%=*}" >/dev/null || missing+=("${entry#*=}") ;;
    *) dpkg-query -W -f '${Status}' "$entry" 2>/dev/null | grep -q ' installed$' || missing+=("$entry") ;;
  esac
done
[ ${#missing[@]} -gt 0 ] || exit 0

command -v apt-get >/dev/null ||
  die "missing on this machine (names of Debian's packages; there is no apt-get here to install them): ${missing[*]}"
as_root=(env DEBIAN_FRONTEND=noninteractive)
if [ "$(id -u)" != 0 ]; then
  sudo -n true </dev/null 2>/dev/null ||
    die "missing on this machine: ${missing[*]}. Install with: sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}"
  as_root=(sudo -n "${as_root[@]}")
fi

log="$(mktemp)"
trap 'rm -f "$log"' EXIT
# Another apt may be at work (unattended upgrades, a second clone of this repo): wait for it rather than fail.
apt() { "${as_root[@]}" apt-get -qq -o DPkg::Lock::Timeout=600 "$@" </dev/null >"$log" 2>&1 || { tail -n 20 "$log" >&2; return 1; }; }

say "installing from this Debian release: ${missing[*]}"
apt update || say "apt-get update failed: trying with the package lists that are here"
apt install -y --no-install-recommends "${missing[@]}" || die "apt-get could not install ${missing[*]}"
say "installed"
