// SPDX-License-Identifier: GPL-2.0
/* Measures how far the guest's clock, which counts instructions, advances for one instruction. */
#include "measure.h"

/* Runs a hundred thousand instructions, and a few more. */
static void loop(void *context, unsigned int n)
{
	uint32_t left = 50000;

	(void)context;
	(void)n;
	__asm__ volatile("1: dec %0\n\tjnz 1b" : "+r"(left) : : "cc");
}

/* ROUNDS TIMES: measures a hundred thousand instructions. */
void measure_clock(char **arguments)
{
	struct repetition often = repetition(arguments);
	struct work work = { .once = loop };

	print(measure(&work, often), often.rounds);
}
