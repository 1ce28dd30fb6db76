# The guest's kernel: chosen, downloaded and unpacked from the distribution's own packages, never
# installed on the host. Sourced by build-guest.

# What the guest needs beside what is built in; dependencies are found from the files themselves.
# crc32c first: erofs and ext4 ask the kernel for it by its algorithm's name, which no file tells.
guest_modules=(virtio_pci virtio_console crc32c_generic virtio_blk erofs ext4 overlay virtio_net
	virtio_rng)
# Loaded only where the VMM gives the machine a vsock device.
vsock_modules=(vmw_vsock_virtio_transport)
# Loaded with the first folder that is shared with the guest.
folder_modules=(virtiofs)

# Small kernels first: they boot faster and have all a guest needs.
kernel_candidates() {
	local id
	id=$(. /etc/os-release && echo "${ID:-unknown} ${ID_LIKE:-}")
	case " $id " in
	*\ ubuntu\ *) echo linux-image-virtual linux-image-kvm linux-image-generic ;;
	*) echo linux-image-cloud-amd64 linux-image-amd64 linux-image-rt-amd64 ;;
	esac
}

# Prints "PACKAGE RELEASE" of the first flavour whose release is not the host's: the whole point is
# that `uname -r` differs.
choose_kernel() {
	local meta package release
	for meta in $(kernel_candidates); do
		package=$(apt-cache depends "$meta" 2>/dev/null |
			awk '$1 ~ /Depends:$/ && $2 ~ /^linux-image-(unsigned-)?[0-9]/ { print $2; exit }')
		[ -n "$package" ] || continue
		release=${package#linux-image-}
		release=${release#unsigned-}
		if [ "$release" = "$(uname -r)" ]; then
			detail "$package is this machine's own kernel; taking another flavour"
			continue
		fi
		echo "$package" "$release"
		return
	done
	fail "no kernel package for the guest" "apt knows none of: $(kernel_candidates)" \
		"sudo apt-get update"
}

little_endian() { od -An -tu"$2" -j"$3" -N"$2" "$1" | tr -d ' '; } # FILE BYTES OFFSET

# The uncompressed vmlinux boots by PVH, about 0.3 s faster in software emulation than a bzImage.
# Offsets: Documentation/x86/boot.rst, setup_sects 0x1f1, payload_offset 0x248, payload_length 0x24c.
extract_vmlinux() { # BZIMAGE OUT
	local image=$1 out=$2 start length magic unpack
	start=$((($(little_endian "$image" 1 $((0x1f1))) + 1) * 512 + $(little_endian "$image" 4 $((0x248)))))
	length=$(little_endian "$image" 4 $((0x24c)))
	tail -c +$((start + 1)) "$image" | head -c "$length" >"$scratch/payload" || true
	magic=$(od -An -tx1 -N6 "$scratch/payload" | tr -d ' ')
	case $magic in
	02214c18*) unpack=(lz4 -dc) ;;
	fd377a585a00) unpack=(xz -dc --single-stream) ;;
	28b52ffd*) unpack=(zstd -dc) ;;
	1f8b*) unpack=(gzip -dc) ;;
	*) fail "cannot unpack $(basename "$image")" "unknown compression (magic $magic)" \
		"report the kernel package's name" ;;
	esac
	need_command "${unpack[0]}" "${unpack[0]/#xz/xz-utils}"
	# The payload ends in the 4-byte size of its content, which unpackers call trailing garbage:
	# what counts is that an ELF file of that size came out.
	"${unpack[@]}" <"$scratch/payload" >"$out" 2>/dev/null || true
	local wanted
	wanted=$(tail -c 4 "$scratch/payload" | od -An -tu4 | tr -d ' ')
	if [ "$(od -An -tx1 -N4 "$out" | tr -d ' ')" != 7f454c46 ] ||
		[ "$(stat -c %s "$out")" != "$wanted" ]; then
		fail "cannot unpack $(basename "$image")" "no ELF kernel of $wanted bytes came out" \
			"report the kernel package's name"
	fi
	rm "$scratch/payload"
}

find_module() { # TREE NAME (as in the kernel: with underscores)
	find "$1" -name "${2//_/[-_]}.ko" -o -name "${2//_/[-_]}.ko.xz" -o -name "${2//_/[-_]}.ko.zst" |
		head -n1
}

# Copies a module uncompressed behind those it depends on and appends it to the list's load order.
add_module() { # TREE NAME OUT LIST
	local tree=$1 name=$2 out=$3 list=$4 file depends
	if [ -e "$out/$name.ko" ]; then return; fi
	if grep -qE "/${name//_/[-_]}\.ko$" "$tree"/modules.builtin; then return; fi
	file=$(find_module "$tree" "$name")
	[ -n "$file" ] || fail "the guest kernel has no module $name" "it is not in the package" \
		"report the kernel package's name"
	case $file in
	*.xz) xz -dc "$file" >"$scratch/module.ko" ;;
	*.zst) zstd -qdc "$file" >"$scratch/module.ko" ;;
	*) cp "$file" "$scratch/module.ko" ;;
	esac
	mv "$scratch/module.ko" "$scratch/$name.ko"
	depends=$(tr '\0' '\n' <"$scratch/$name.ko" | grep -a -m1 '^depends=' || true)
	for needed in $(tr ',' ' ' <<<"${depends#depends=}"); do
		add_module "$tree" "${needed//-/_}" "$out" "$list"
	done
	mv "$scratch/$name.ko" "$out/$name.ko"
	echo "$name.ko" >>"$out/$list"
}

# Fills OUT with vmlinux, modules/ (with the load orders), package and release.
fetch_kernel() { # OUT
	local out=$1 chosen package release tree
	chosen=$(choose_kernel)
	read -r package release <<<"$chosen"
	step "guest kernel: downloading $package"
	mkdir -p "$scratch/deb" "$out/modules"
	(
		cd "$scratch/deb"
		apt_download "$package"
		# Ubuntu keeps modules in packages of their own.
		for more in "linux-modules-$release" "linux-modules-extra-$release"; do
			if apt-cache show "$more" >/dev/null 2>&1; then apt_download "$more"; fi
		done
		for deb in ./*.deb; do dpkg-deb -x "$deb" tree; done
	)
	detail "unpacking kernel $release"
	extract_vmlinux "$scratch/deb/tree/boot/vmlinuz-$release" "$out/vmlinux"
	tree=$scratch/deb/tree/lib/modules/$release
	[ -d "$tree" ] || tree=$scratch/deb/tree/usr/lib/modules/$release
	for name in "${guest_modules[@]}"; do add_module "$tree" "$name" "$out/modules" order; done
	for name in "${vsock_modules[@]}"; do add_module "$tree" "$name" "$out/modules" vsock; done
	for name in "${folder_modules[@]}"; do add_module "$tree" "$name" "$out/modules" folders; done
	basename "$scratch"/deb/linux-image-*.deb | sed 's/_amd64\.deb$//' >"$out/package"
	echo "$release" >"$out/release"
	rm -rf "$scratch/deb"
}
