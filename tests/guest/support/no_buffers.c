// SPDX-License-Identifier: GPL-2.0

// A library that tests preload into a consumer. It makes sends of NFQUEUE verdicts fail. Of every
// three sends, the first fails with ENOBUFS, the second fails with EAGAIN, and the third succeeds. A
// send that fails does not reach the kernel. If the environment variable NO_BUFFERS_WHILE is set, it
// names a file, and a send fails (with ENOBUFS) only while this file exists. Each failure adds a byte
// to the file that the environment variable NO_BUFFERS_FAILED names.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int is_verdict(const struct nlmsghdr *header, size_t length)
{
	// The types NFQNL_MSG_VERDICT (1) and NFQNL_MSG_VERDICT_BATCH (3) of NFNL_SUBSYS_QUEUE (3).
	return length >= sizeof(*header) && (header->nlmsg_type == 0x301 || header->nlmsg_type == 0x303);
}

static int failure(void)
{
	static const int in_turn[] = { ENOBUFS, EAGAIN, 0 };
	static unsigned int calls;
	const char *path = getenv("NO_BUFFERS_WHILE");

	if (path)
		return access(path, F_OK) ? 0 : ENOBUFS;
	return in_turn[calls++ % 3];
}

static void count(void)
{
	int file = open(getenv("NO_BUFFERS_FAILED"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	if (file < 0 || write(file, "!", 1) != 1)
		abort();
	close(file);
}

ssize_t send(int fd, const void *message, size_t length, int flags)
{
	ssize_t (*real)(int, const void *, size_t, int) = dlsym(RTLD_NEXT, "send");
	int error = is_verdict(message, length) ? failure() : 0;

	if (!error)
		return real(fd, message, length, flags);
	count();
	errno = error;
	return -1;
}
