// SPDX-License-Identifier: GPL-2.0
/* Repeats a work, measures the time of each round, and checks the answers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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

	if (!text || !*text || *end || value < least || value > most) {
		fprintf(stderr, "%s must be %lu to %lu\n", name, least, most);
		exit(2);
	}
	return value;
}

struct repetition repetition(char **arguments)
{
	unsigned int rounds = number("ROUNDS", arguments[0], 1, 1000000);

	return (struct repetition) {
		.rounds = rounds,
		.times = number("TIMES", arguments[1], 1, 1000000),
	};
}

void *allocate(size_t count, size_t size)
{
	void *memory = calloc(count ? count : 1, size ? size : 1);

	if (!memory)
		die("calloc");
	return memory;
}

static uint64_t nanoseconds(void)
{
	struct timespec now;

	/* Reading this clock needs no system call, so it always takes the same time. */
	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double in_the_middle(double *of, size_t count)
{
	qsort(of, count, sizeof(*of), compare);
	return of[count / 2];
}

static double round_of(const struct work *work, unsigned int times)
{
	uint64_t took;

	if (work->prepare)
		work->prepare(work->context, times);
	took = nanoseconds();
	for (unsigned int n = 0; n < times; n++)
		work->once(work->context, n);
	took = nanoseconds() - took;
	errno = 0;
	if (work->right && !work->right(work->context, times))
		die("a wrong answer");
	return (double)took;
}

static void nothing(void *context, unsigned int n)
{
	(void)context;
	(void)n;
}

/* The time of a round without work: reading the clock and calling a function. */
static double overhead(unsigned int times)
{
	struct work work = { .once = nothing };
	double took[21];

	for (size_t i = 0; i < 21; i++)
		took[i] = round_of(&work, times);
	return in_the_middle(took, 21);
}

double *measure(const struct work *work, struct repetition often)
{
	double *took = allocate(often.rounds, sizeof(*took));
	double by_itself = overhead(often.times);

	round_of(work, often.times);
	for (unsigned int i = 0; i < often.rounds; i++)
		took[i] = (round_of(work, often.times) - by_itself) / often.times;
	return took;
}

void print(double *took, size_t count)
{
	double median = in_the_middle(took, count);

	printf("%.2f %.2f %.2f\n", median, took[0], took[count - 1]);
}

static uint8_t filling(size_t i, uint32_t seed)
{
	return (uint8_t)(seed + i * 31 + i / 256);
}

void fill(uint8_t *bytes, size_t len, uint32_t seed)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = filling(i, seed);
}

bool is_filled(const uint8_t *bytes, size_t len, uint32_t seed)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != filling(i, seed))
			return false;
	return true;
}
