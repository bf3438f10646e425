// SPDX-License-Identifier: GPL-2.0

// A library that tests preload into a consumer. The environment variable NO_CLOCK_QUEUE has the number of a queue.
// After a thread has received a packet of this queue, clock_gettime() fails in the thread. A Rust program panics when
// it reads the clock and this fails, so it panics before it has decided the packet.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

static __thread int has_no_clock;

static void look_at(const void *datagram, ssize_t length)
{
	const struct nlmsghdr *header = datagram;
	const struct nfgenmsg *message = NLMSG_DATA(header);

	if (length >= (ssize_t)NLMSG_SPACE(sizeof(*message)) &&
	    header->nlmsg_type == (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET) &&
	    ntohs(message->res_id) == atoi(getenv("NO_CLOCK_QUEUE")))
		has_no_clock = 1;
}

ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
	ssize_t (*real)(int, void *, size_t, int) = dlsym(RTLD_NEXT, "recv");
	ssize_t length = real(fd, buffer, size, flags);

	look_at(buffer, length);
	return length;
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags, struct timespec *timeout)
{
	int (*real)(int, struct mmsghdr *, unsigned int, int, struct timespec *) =
		dlsym(RTLD_NEXT, "recvmmsg");
	int received = real(fd, messages, count, flags, timeout);

	for (int i = 0; i < received; i++)
		look_at(messages[i].msg_hdr.msg_iov->iov_base, messages[i].msg_len);
	return received;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
	int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");

	if (!has_no_clock)
		return real(clock, time);
	errno = EPERM;
	return -1;
}
