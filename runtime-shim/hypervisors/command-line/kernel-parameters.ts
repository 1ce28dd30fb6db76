/**
 * Parameters of the guest's kernel, whichever VMM starts it. Only what was measured to pay under
 * software emulation; nothing that weakens the guest (no nokaslr, no mitigations=off).
 */
export const kernelParameters = [
  // One serial port instead of four to look for, for early messages and a panic's last words.
  "console=ttyS0",
  "8250.nr_uarts=1",
  // Warnings and worse: printing is what costs.
  "loglevel=5",
  // A panicked guest ends its VMM (with -no-reboot) instead of hanging.
  "panic=-1",
  // Self tests of the crypto modules take 0.45 s of a boot.
  "cryptomgr.notests=1",
  "audit=0",
  // Without the modules that need a policy: no guest has one, and each path and file would be shown to them.
  "lsm=landlock,lockdown,yama,bpf",
  // Plugged memory is there to be used; no udev says so here.
  "memhp_default_state=online",
  // virtio needs no bounce buffers; a guest with memory (or room for it) above 4 GiB would touch 64 MiB.
  "swiotlb=noforce",
  "no_timer_check",
  // An idle guest is to sleep: no second clock to compare this one with twice a second, no lockup detector.
  "tsc=reliable",
  "nowatchdog",
  "rcupdate.rcu_expedited=1",
  // Things a micro-VM never uses.
  "initcall_blacklist=load_system_certificate_list,crypto_kdf108_init,init_encrypted,init_kprobe_trace,slab_sysfs_init,hugetlb_init",
].join(" ");
