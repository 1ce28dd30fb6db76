# Installs the distribution's packages that are missing, and only those. Sourced by setup.

# COMMAND or FILE : PACKAGE. Asked by command, not by package: Docker's containerd.io brings the same
# containerd-shim-runc-v2, and installing Debian's containerd would remove it.
needed_programs=(
	qemu-system-x86_64:qemu-system-x86
	mkfs.erofs:erofs-utils
	mkfs.ext4:e2fsprogs
	containerd-shim-runc-v2:containerd
	runc:runc
	dockerd:docker.io
	runsc:runsc
	skopeo:skopeo
	umoci:umoci
	socat:socat
	ip:iproute2
	tc:iproute2
	mount:mount
	nsenter:util-linux
	/usr/lib/cni/bridge:containernetworking-plugins
	flock:util-linux
	kubectl:kubernetes-client
	musl-gcc:musl-tools
	gcc:gcc
	/usr/include/linux/netlink.h:linux-libc-dev
	cpio:cpio
	lz4:lz4
	xz:xz-utils
	zstd:zstd
	# better-sqlite3 is compiled where no ready-made build can be fetched.
	g++:g++
	make:make
	python3:python3
)

missing_packages() {
	local entry program
	for entry in "${needed_programs[@]}"; do
		program=${entry%:*}
		case $program in
		/*) [ -e "$program" ] || echo "${entry#*:}" ;;
		*) command -v "$program" >/dev/null || echo "${entry#*:}" ;;
		esac
	done | sort -u
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo --preserve-env=http_proxy,https_proxy,no_proxy "$@"
	else
		fail "cannot install packages" "not root, and sudo is missing" \
			"as root: apt-get install $(missing_packages | tr '\n' ' ')"
	fi
}

# The containerd package would start a daemon nobody here needs: Debian asks policy-rc.d first.
forbid_service_starts() {
	[ -e /usr/sbin/policy-rc.d ] && return 0
	printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
	as_root chmod 0755 /usr/sbin/policy-rc.d
	made_policy=yes
}
allow_service_starts() {
	if [ "${made_policy:-no}" = yes ]; then as_root rm -f /usr/sbin/policy-rc.d; fi
	made_policy=no
}

apt_install() {
	as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
		apt-get -q -y install --no-install-recommends "$@"
}

install_packages() {
	local missing=() log
	mapfile -t missing < <(missing_packages)
	[ ${#missing[@]} -gt 0 ] || return 0
	command -v apt-get >/dev/null || fail "programs are missing: ${missing[*]}" \
		"this machine has no apt-get; katasim is set up on Debian 12 and Ubuntu" \
		"install them by hand (the names are Debian's), then run this again"
	log=$scratch/apt-install.log
	step "Debian packages: installing ${missing[*]}"
	as_root true # asks for a password here, where it can be seen
	forbid_service_starts
	if ! with_heartbeat "$log" apt_install "${missing[@]}"; then
		# Package lists may be missing (a fresh container) or older than what the mirror still holds.
		detail "updating the package lists first"
		with_heartbeat "$log" as_root apt-get -q update || true
		with_heartbeat "$log" apt_install "${missing[@]}" || {
			allow_service_starts
			fail "cannot install ${missing[*]}" "$(grep -m1 '^E:' "$log" || tail -n1 "$log")" \
				"check the network and the apt sources, or install them by hand"
		}
	fi
	allow_service_starts
	if [[ " ${missing[*]} " == *" docker.io "* ]] && [ -d /run/systemd/system ]; then
		# Nobody asked for a daemon at every boot; katasim uses one only where somebody starts it.
		as_root systemctl --quiet disable docker.service docker.socket
		detail "Docker Engine is installed but off; to use it: sudo systemctl enable --now docker"
	fi
	if [[ " ${missing[*]} " == *" kubernetes-client "* ]]; then
		detail "kubectl is Debian's $(kubectl version --client --short 2>/dev/null | head -n1)." \
			"Most things work; for exec over WebSocket and other news install kubectl 1.32 from kubernetes.io"
	fi
}
