/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The wire protocol of rust_nldemo: raw netlink, one kernel socket in every
 * network namespace.
 */
#ifndef _UAPI_NLDEMO_H
#define _UAPI_NLDEMO_H

/* The netlink protocol number, unless the module parameter "protocol" says otherwise. */
#define NLDEMO_PROTOCOL_DEFAULT	23
/* Numbers below are the kernel's own, numbers from MAX_LINKS on do not exist. */
#define NLDEMO_PROTOCOL_MIN	23
#define NLDEMO_PROTOCOL_MAX	31

/* Message types; those below NLMSG_MIN_TYPE (16) are netlink's own. */

/* The payload comes back, byte for byte, under the same type and sequence number. */
#define NLDEMO_MSG_ECHO		16
/*
 * The type under which the payload of a message of type 0 without flags comes
 * back: what netlink "hello kernel" clients send and expect.
 */
#define NLDEMO_MSG_HELLO_REPLY	23

#endif /* _UAPI_NLDEMO_H */
