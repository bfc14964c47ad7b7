# What the scripts beside this file share: where the binaries are, how to start and end a server.
# Sourced, with `set -euo pipefail` and the repository's root as the working directory.
# shellcheck shell=bash disable=SC2034

target=${CARGO_TARGET_DIR:-target}
seshun=$target/release/seshun
loadtest=$target/release/loadtest

fail() {
  echo "error: $*" >&2
  exit 1
}

# Installs Debian packages where that is possible, and says so where it is not.
install_packages() {
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "cannot install $*: not root, or no apt-get" >&2
    return 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update >/dev/null && apt-get -qq install -y --no-install-recommends "$@" >/dev/null
}

# start_server FLAG…: starts a server in the background and waits until it is ready. Its journal
# is new, and goes with the server; one that is to stay is in the folder that server_data names.
# Sets server_pid and server_url. Whoever calls it traps EXIT with end_server.
start_server() {
  server_pid=
  server_url=
  server_dir=$(mktemp -d)
  SESHUN_JOURNAL_DIR=${server_data:-$server_dir/data} \
    "$seshun" "$@" >"$server_dir/out" 2>"$server_dir/err" </dev/null &
  server_pid=$!
  for _ in $(seq 100); do
    server_url=$(sed -n 's/^seshun listening on //p' "$server_dir/out")
    [ -z "$server_url" ] || return 0
    kill -0 "$server_pid" 2>/dev/null || break
    sleep 0.1
  done
  cat "$server_dir/err" >&2
  fail "the server did not become ready within 10 s: $seshun $*"
}

# Ends the server as an operator would. It must drain and exit 0.
stop_server() {
  local pid=$server_pid status=0
  kill -TERM "$pid" 2>/dev/null || true
  wait "$pid" || status=$?
  server_pid=
  if [ "$status" != 0 ]; then
    cat "$server_dir/err" >&2
    fail "the server exited with $status on SIGTERM, or before it"
  fi
  rm -rf "$server_dir"
}

# For a trap: leaves no server behind, whatever has happened, and shows its last words.
end_server() {
  if [ -n "${server_pid:-}" ]; then
    kill -KILL "$server_pid" 2>/dev/null || true
    wait "$server_pid" 2>/dev/null || true
    tail -n 20 "$server_dir/err" >&2 || true
  fi
  [ -z "${server_dir:-}" ] || rm -rf "$server_dir"
}
