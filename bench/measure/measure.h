/* SPDX-License-Identifier: GPL-2.0 */
/* What all works have in common: the clock, repetition, and how to fail. */
#ifndef MEASURE_H
#define MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One thing to measure. Answers land in buffers of their own while the clock
 * runs and are judged when it does not.
 */
struct work {
	/* Gets ready for a round of n times; may be NULL. */
	void (*prepare)(void *context, unsigned int n);
	/* Does it for the n-th time of a round. */
	void (*once)(void *context, unsigned int n);
	/* Whether the answers of all n times are right; may be NULL. */
	bool (*right)(void *context, unsigned int n);
	void *context;
};

/* How often: so many rounds of so many times each. */
struct repetition {
	unsigned int rounds, times;
};

/* Ends the program; what says why, errno is added if there is one. */
_Noreturn void die(const char *what);

/* The argument called name, in the range given. */
unsigned long number(const char *name, const char *text, unsigned long least, unsigned long most);

/* The first two arguments, which all works have. */
struct repetition repetition(char **arguments);

/* Memory that is zero. */
void *allocate(size_t count, size_t size);

/*
 * Does the work in rounds, after one that does not count. Returns the nanoseconds that
 * one time takes, for every round; what the clock takes is left out.
 */
double *measure(const struct work *work, struct repetition often);

/* Prints how long one time takes: that in the middle of so many, the least and the most. */
void print(double *took, size_t count);

/* A payload that differs between messages and has no short period. */
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
