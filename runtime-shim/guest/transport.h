/* How the host reaches the agent: a virtio-serial port (QEMU) or vsock (Cloud Hypervisor). */
#ifndef KATASIM_TRANSPORT_H
#define KATASIM_TRANSPORT_H

/* The port the agent listens at, as the host names it in `CONNECT 1024`. */
#define AGENT_VSOCK_PORT 1024

/* A listening socket, or -1 where the machine has no vsock device. */
int transport_listen(void);
/* The virtio-serial port "katasim.agent.0", or -1 while there is none. */
int transport_open_port(void);

#endif
