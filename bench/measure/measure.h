/* SPDX-License-Identifier: GPL-2.0 */
/* Functions that every work uses. A work (struct work) is one thing to measure. */
#ifndef MEASURE_H
#define MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One thing to measure. While the clock runs, answers are only stored, each in its own buffer. The
 * answers are checked after the clock has stopped.
 */
struct work {
	/* Prepares a round, which does the work n times; may be NULL. */
	void (*prepare)(void *context, unsigned int n);
	/* Does the work for the n-th time of a round. */
	void (*once)(void *context, unsigned int n);
	/* Whether the answers of all n times are right; may be NULL. */
	bool (*right)(void *context, unsigned int n);
	void *context;
};

/* The number of rounds, and how many times a round does the work. */
struct repetition {
	unsigned int rounds, times;
};

/* Ends the program with a message: "what", and the text of errno if it is not 0. */
_Noreturn void die(const char *what);

/*
 * Returns the number in text. If the number is out of range, this function ends the program with an
 * error that has the name of the argument.
 */
unsigned long number(const char *name, const char *text, unsigned long least, unsigned long most);

/* ROUNDS and TIMES: the first two arguments of every work. */
struct repetition repetition(char **arguments);

/* Allocates memory and fills it with zero bytes. */
void *allocate(size_t count, size_t size);

/*
 * Does the work in rounds, after a first round that is not measured. Returns, for every
 * round, the mean time of the work in nanoseconds, without the overhead of the clock and the calls.
 */
double *measure(const struct work *work, struct repetition often);

/* Prints the median, the shortest and the longest of "count" durations. */
void print(double *took, size_t count);

/* Fills a payload. The bytes depend on the seed, and do not repeat after a few bytes. */
void fill(uint8_t *bytes, size_t len, uint32_t seed);
bool is_filled(const uint8_t *bytes, size_t len, uint32_t seed);

/* The works, each with its own arguments. */
void measure_clock(char **arguments);
void measure_floor(char **arguments);
void measure_echo(char **arguments);
void measure_config(char **arguments);
void measure_counter_get(char **arguments);
void measure_counter_add(char **arguments);
void measure_udp(char **arguments);
void measure_tcp(char **arguments);
void measure_icmp(char **arguments);
void measure_icmpv6(char **arguments);
void measure_queued(char **arguments);

#endif
