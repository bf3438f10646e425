// SPDX-License-Identifier: GPL-2.0

// Preloaded into a consumer. Of every three sends of NFQUEUE verdicts, the first fails with ENOBUFS
// and the second with EAGAIN. These two do not reach the kernel.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/netlink.h>
#include <sys/socket.h>

typedef ssize_t send_to(int, const void *, size_t, int, const struct sockaddr *, socklen_t);

ssize_t sendto(int fd, const void *message, size_t length, int flags,
	       const struct sockaddr *to, socklen_t to_length)
{
	static int calls;
	static send_to *real;
	const struct nlmsghdr *header = message;

	if (!real)
		real = (send_to *)dlsym(RTLD_NEXT, "sendto");
	// NFNL_SUBSYS_QUEUE with NFQNL_MSG_VERDICT or NFQNL_MSG_VERDICT_BATCH.
	if (length >= sizeof(*header) &&
	    (header->nlmsg_type == 0x301 || header->nlmsg_type == 0x303) && ++calls % 3) {
		errno = calls % 3 == 1 ? ENOBUFS : EAGAIN;
		return -1;
	}
	return real(fd, message, length, flags, to, to_length);
}
