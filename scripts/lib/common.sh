# Shared by the set-up scripts: progress on stderr, errors with a next step, the cache folder.
# Sourced by bash with `set -euo pipefail`.

project_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)

# One line per long step. Everything on stderr, so that stdout stays usable for results.
step() { printf ' • %s\n' "$*" >&2; }
detail() { printf '   %s\n' "$*" >&2; }

# fail WHAT WHY TRY: what failed, why, what to do about it.
fail() {
	printf 'error: %s\n' "$1" >&2
	if [ -n "${2:-}" ]; then printf '  why: %s\n' "$2" >&2; fi
	if [ -n "${3:-}" ]; then printf '  try: %s\n' "$3" >&2; fi
	exit 3
}

need_command() { # COMMAND PACKAGE
	command -v "$1" >/dev/null || fail "$1 is missing" "it comes with the Debian package $2" \
		"sudo apt-get install $2, or ./scripts/setup"
}

# The same rule as common/paths.ts.
cache_folder() {
	if [ -n "${KATASIM_CACHE:-}" ]; then
		echo "$KATASIM_CACHE"
	elif [ -n "${KATASIM_HOME:-}" ]; then
		echo "$(realpath -m "$KATASIM_HOME")/cache"
	else
		echo "${XDG_CACHE_HOME:-$HOME/.cache}/katasim"
	fi
}

# A digest of files' names (within the clone) and contents: the key that says whether a step has to
# run again. The same for every clone, so that clones can share one cache.
digest_of() { sha256sum -- "$@" | sed "s|$project_root/||" | sha256sum | cut -c1-16; }

# A temporary folder, removed however the script ends. Called with the folder's lock held: what a killed
# run left is nobody's.
scratch=""
make_scratch() { # PARENT
	mkdir -p "$1"
	rm -rf "$1"/.tmp.??????
	scratch=$(mktemp -d "$1/.tmp.XXXXXX")
	trap 'rm -rf "$scratch"' EXIT
	trap 'exit 130' INT TERM HUP
}

# Two builds at once (a test run beside a demo) wait for each other instead of both downloading.
hold_lock() { # FILE
	mkdir -p "$(dirname "$1")"
	exec 9>"$1"
	if ! flock -n 9; then
		detail "waiting for another build to finish"
		flock 9
	fi
}

# apt-get download PACKAGE... into the current folder, with reasons.
apt_download() {
	local log=$scratch/apt.log
	# The sandbox user of apt cannot write into a 0700 folder and apt would warn about that.
	if ! apt-get -q download -o APT::Sandbox::User=root "$@" >"$log" 2>&1; then
		fail "cannot download the package(s): $*" "$(grep -m1 '^[EW]:' "$log" || tail -n1 "$log")" \
			"check the network and the apt sources, then: sudo apt-get update"
	fi
}

# Runs a command with its output in a file, and says every 15 seconds that it still runs.
with_heartbeat() { # LOG COMMAND...
	local log=$1 started=$SECONDS beat code=0
	shift
	(
		exec 9>&- # a heartbeat must not keep the lock
		while sleep 15; do detail "… $((SECONDS - started)) s"; done
	) &
	beat=$!
	"$@" >>"$log" 2>&1 9>&- || code=$?
	kill "$beat" 2>/dev/null || true
	wait "$beat" 2>/dev/null || true
	return $code
}
