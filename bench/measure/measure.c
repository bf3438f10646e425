// SPDX-License-Identifier: GPL-2.0
/* Clock, repetition and judgement. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "measure.h"

void die(const char *what)
{
	if (errno)
		perror(what);
	else
		fprintf(stderr, "%s\n", what);
	exit(2);
}

unsigned long number(const char *name, const char *text, unsigned long least, unsigned long most)
{
	char *end = NULL;
	unsigned long value = text ? strtoul(text, &end, 10) : 0;

	errno = 0;
	if (!text || !*text || *end || value < least || value > most) {
		fprintf(stderr, "%s is to be %lu to %lu\n", name, least, most);
		exit(2);
	}
	return value;
}

void *allocate(size_t size)
{
	void *memory = calloc(1, size ? size : 1);

	if (!memory)
		die("calloc");
	return memory;
}

uint64_t nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

void measure(const struct work *work, unsigned int rounds, unsigned int times)
{
	double *took = allocate(rounds * sizeof(*took));

	for (unsigned int round = 0; round <= rounds; round++) {
		uint64_t start;

		if (work->prepare)
			work->prepare(work->context, times);
		start = nanoseconds();
		for (unsigned int n = 0; n < times; n++)
			work->once(work->context, n);
		if (round)
			took[round - 1] = (double)(nanoseconds() - start) / times;
		errno = 0;
		if (work->right && !work->right(work->context, times))
			die("a wrong answer");
	}
	qsort(took, rounds, sizeof(*took), compare);
	printf("%.2f %.2f %.2f\n", took[rounds / 2], took[0], took[rounds - 1]);
	free(took);
}

void fill(uint8_t *bytes, size_t len, uint32_t seed)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(seed + i * 31 + i / 256);
}

bool is_filled(const uint8_t *bytes, size_t len, uint32_t seed)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != (uint8_t)(seed + i * 31 + i / 256))
			return false;
	return true;
}
