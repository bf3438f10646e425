// SPDX-License-Identifier: GPL-2.0
/* usage: measure WORK ROUNDS TIMES ARGUMENTS...: prints the median, the least and the most ns. */
#include <stdio.h>
#include <string.h>

#include "measure.h"

static const struct {
	const char *name;
	void (*measure)(char **arguments);
} works[] = {
	{ "clock", measure_clock },
	{ "floor", measure_floor },
	{ "echo", measure_echo },
	{ "config", measure_config },
	{ "counter-get", measure_counter_get },
	{ "counter-add", measure_counter_add },
	{ "udp", measure_udp },
	{ "tcp", measure_tcp },
	{ "icmp", measure_icmp },
	{ "icmpv6", measure_icmpv6 },
	{ "queued", measure_queued },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(works) / sizeof(works[0]); i++)
		if (!strcmp(argv[1], works[i].name)) {
			works[i].measure(argv + 2);
			return 0;
		}
	fprintf(stderr, "usage: %s WORK ROUNDS TIMES ARGUMENTS...\nworks:", argv[0]);
	for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++)
		fprintf(stderr, " %s", works[i].name);
	fprintf(stderr, "\n");
	return 2;
}
