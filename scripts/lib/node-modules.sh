# Node itself and node_modules. Sourced by setup.

check_node() {
	command -v node >/dev/null || fail "Node.js is missing" "katasim needs Node 20.19 or newer" \
		"install it from https://nodejs.org or deb.nodesource.com (Debian 12's own is 18)"
	node -e '
		const [major, minor] = process.versions.node.split(".").map(Number);
		process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1);
	' || fail "Node.js $(node --version) is too old" "katasim needs Node 20.19 or newer" \
		"install it from https://nodejs.org or deb.nodesource.com"
	command -v npm >/dev/null || fail "npm is missing" "it comes with Node.js from nodejs.org" \
		"install npm, or Node.js from https://nodejs.org"
}

# Exit 0 when what is installed is what package-lock.json says and the native add-on loads in this
# Node. Asking the facts needs no stamp: it also sees an `npm install` by hand, or another Node.
node_modules_are_fresh() {
	[ -f node_modules/.package-lock.json ] && node -e '
		const read = (file) => JSON.parse(require("fs").readFileSync(file, "utf8")).packages;
		const [wanted, there] = [read("package-lock.json"), read("node_modules/.package-lock.json")];
		for (const [path, { version, optional, devOptional }] of Object.entries(wanted)) {
			if (path === "" || optional || devOptional) continue;
			if (there[path]?.version !== version) process.exit(1);
		}
		new (require("better-sqlite3"))(":memory:").close();
	' 2>/dev/null
}

install_node_modules() {
	node_modules_are_fresh && return 0
	local log=$scratch/npm.log headers
	step "npm packages: installing (one native build: about a minute)"
	# Headers beside the installed Node spare a download from nodejs.org, which may be out of reach.
	headers=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")
	if [ -e "$headers/include/node/node.h" ]; then export npm_config_nodedir=$headers; fi
	# npm's own waits between tries add up to minutes before it says that a registry is out of reach.
	local flags=(--no-audit --no-fund --loglevel=error --fetch-retry-mintimeout=1000
		--fetch-retry-maxtimeout=5000)
	# `npm ci` refuses a lock file without other platforms' optional packages (EUSAGE). `npm install`
	# takes the locked versions all the same, and with --no-save writes no file of the clone.
	with_heartbeat "$log" npm ci "${flags[@]}" ||
		{ grep -q EUSAGE "$log" && with_heartbeat "$log" npm install --no-save "${flags[@]}"; } ||
		fail "installing npm packages failed" \
			"$(grep -E '^npm (ERR!|error) ' "$log" | tail -n +2 | head -n2 | tr '\n' ' ')" \
			"check the network and npm's registry (npm config get registry); log: $(keep_log "$log")"
	node_modules_are_fresh || fail "better-sqlite3 does not load" \
		"its native build failed; log: $(keep_log "$log")" "npm rebuild better-sqlite3 --foreground-scripts"
}

keep_log() { cp "$1" "${TMPDIR:-/tmp}/katasim-setup.log" && echo "${TMPDIR:-/tmp}/katasim-setup.log"; }
