/*
 * What a restored VM's QEMU loads in a kernel's place: it reads 50 MB of the real one otherwise, into memory
 * that the saved one's replaces. An ELF file with the note of the PVH boot protocol (Xen's
 * docs/misc/pvh.pandoc), as the real one has it, so that QEMU makes the same machine of it. Never executed.
 */
	.section .note.Xen, "a", @note
	.balign	4
	.long	4	/* bytes of the name */
	.long	4	/* bytes of the entry point */
	.long	18	/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	_start

	.section .text, "ax"
	.globl	_start
_start:
	hlt
	jmp	_start
