// SPDX-License-Identifier: GPL-2.0
/*
 * Attaches a BPF program for IPv4 and one for IPv6 to a Netfilter hook of this network namespace,
 * prints "attached", and detaches both programs when standard input ends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <linux/netfilter.h>

static void attach(const struct bpf_object *object, const char *name, unsigned int pf,
		   unsigned int hooknum)
{
	struct bpf_netfilter_opts options = { .sz = sizeof(options), .pf = pf, .hooknum = hooknum };
	const struct bpf_program *program = bpf_object__find_program_by_name(object, name);

	if (!program || !bpf_program__attach_netfilter(program, &options)) {
		perror(name);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct bpf_object *object;
	unsigned int hooknum;
	char end;

	if (argc != 5) {
		fprintf(stderr, "usage: %s OBJECT PROGRAM-FOR-IPV4 PROGRAM-FOR-IPV6 HOOKNUM\n", argv[0]);
		return 2;
	}
	object = bpf_object__open_file(argv[1], NULL);
	if (!object || bpf_object__load(object)) {
		perror(argv[1]);
		return 2;
	}
	hooknum = (unsigned int)atoi(argv[4]);
	attach(object, argv[2], NFPROTO_IPV4, hooknum);
	attach(object, argv[3], NFPROTO_IPV6, hooknum);
	printf("attached\n");
	fflush(stdout);
	return read(STDIN_FILENO, &end, 1) < 0;
}
