/**
 * What is done in the shared folder's mount namespace, as shell text: Node has no mount(2).
 *
 * Below the given folder are `files`, a tmpfs with a mount point for each shared path, `share`, a
 * read-only view of it that virtiofsd serves, and `stage`. Mounts on `share` travel to virtiofsd's own
 * namespace; options that are set on a mount later do not, so they are set in `stage` before.
 */

/** Arguments: the folder, virtiofsd, its socket. */
export const serveScript = `
set -e
folder=$1 program=$2 socket=$3
mount -t tmpfs -o mode=0700,size=1m shared "$folder"
mkdir "$folder/files" "$folder/share" "$folder/stage"
chmod 0755 "$folder/files"
mount --bind "$folder/files" "$folder/share"
mount -o remount,bind,ro "$folder/share"
mount --make-shared "$folder/share"
# virtiofsd keeps a lock file for each socket there, which it never removes.
mkdir -p /run/virtiofsd
mount -t tmpfs -o mode=0700,size=64k virtiofsd /run/virtiofsd
exec "$program" "--socket-path=$socket" -o "source=$folder/share" -o cache=auto -o sandbox=namespace
`;

/** Arguments: the folder, a path of the host, its name in the share, its device and inode, ro or rw. */
export const bindScript = `
set -e
folder=$1 source=$2 name=$3 identity=$4 mode=$5
stage=$folder/stage/$name files=$folder/files/$name
seen=$(stat -L -c %d:%i -- "$source")
if [ "$seen" != "$identity" ]; then
	echo "it is another folder in the share's view of the host: is / a private mount?" >&2
	exit 1
fi
if [ -d "$source" ]; then mkdir -p "$stage" "$files"; else : >"$stage"; : >"$files"; fi
mount --bind -- "$source" "$stage"
mount --make-private "$stage"
mount -o "remount,bind,$mode" "$stage"
mount --bind "$stage" "$folder/share/$name"
umount "$stage"
`;
