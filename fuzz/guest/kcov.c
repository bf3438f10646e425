// SPDX-License-Identifier: GPL-2.0
/*
 * Gives libFuzzer the coverage of the module. While an input runs, the kernel records which code
 * runs (KCOV, Documentation/dev-tools/kcov.rst). This file turns the record into libFuzzer's extra
 * counters. The fuzzer itself is compiled without counters, so libFuzzer sees only the coverage of
 * the module. The linker option --wrap makes libFuzzer call __wrap_LLVMFuzzerTestOneInput() instead
 * of the fuzzer's LLVMFuzzerTestOneInput(). This file calls the fuzzer's function by the name
 * __real_LLVMFuzzerTestOneInput().
 *
 * Environment variables:
 *   NLDEMO_FUZZ_TEXT      the address of the module's code
 *   NLDEMO_FUZZ_COVERAGE  the file to which all covered offsets are written when the program ends
 *   NLDEMO_FUZZ_LAST      optional: the file that keeps the current input of each fuzzer
 *   NLDEMO_FUZZ_PLACE     the number of this fuzzer's place in that file
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <linux/kcov.h>

/* The size of KCOV's record of one input, in words. When the record is full, KCOV adds nothing. */
#define TRACE_WORDS (1UL << 19)
/*
 * The number of counters. It must be a power of two. It is much larger than the number of edges in
 * the module's code, so that two edges rarely share a counter.
 */
#define COUNTERS (1UL << 16)
/* All offsets in the module's code are smaller than this number: the code has fewer bytes. */
#define TEXT_MAX (4UL << 20)
/*
 * The size of a fuzzer's place in the file NLDEMO_FUZZ_LAST. A place has the length and the bytes
 * of the fuzzer's current input. The host reads the file (fuzz/places.py).
 */
#define PLACE_SIZE (256UL << 10)

int __real_LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libFuzzer reads the section of this name. Code of this program only writes to it. */
__attribute__((used, retain, section("__libfuzzer_extra_counters"))) static uint8_t counters[COUNTERS];

static uint64_t *trace;
static uint64_t text;
static bool covered[TEXT_MAX];
static uint8_t *last;

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(2);
}

static const char *setting(const char *name)
{
	const char *value = getenv(name);

	if (!value) {
		errno = EINVAL;
		die(name);
	}
	return value;
}

static void *map(const char *path, size_t size, off_t offset)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	void *memory;

	if (fd < 0)
		die(path);
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
	if (memory == MAP_FAILED)
		die(path);
	return memory;
}

static void write_coverage(void)
{
	FILE *file = fopen(setting("NLDEMO_FUZZ_COVERAGE"), "w");

	if (!file)
		return;
	for (size_t offset = 0; offset < TEXT_MAX; offset++)
		if (covered[offset])
			fprintf(file, "%zx\n", offset);
	fclose(file);
}

static void start(void)
{
	const char *path = "/sys/kernel/debug/kcov";
	int kcov = open(path, O_RDWR | O_CLOEXEC);

	if (kcov < 0 || ioctl(kcov, KCOV_INIT_TRACE, TRACE_WORDS))
		die(path);
	trace = mmap(NULL, TRACE_WORDS * sizeof(*trace), PROT_READ | PROT_WRITE, MAP_SHARED, kcov, 0);
	if (trace == MAP_FAILED || ioctl(kcov, KCOV_ENABLE, KCOV_TRACE_PC))
		die(path);
	text = strtoull(setting("NLDEMO_FUZZ_TEXT"), NULL, 0);
	if (getenv("NLDEMO_FUZZ_LAST"))
		last = map(getenv("NLDEMO_FUZZ_LAST"), PLACE_SIZE,
			   (off_t)(strtoull(setting("NLDEMO_FUZZ_PLACE"), NULL, 0) * PLACE_SIZE));
	if (atexit(write_coverage))
		die("atexit");
}

/* Copies the input to memory that the host can read, even after the guest's kernel has crashed. */
static void remember(const uint8_t *data, size_t size)
{
	uint64_t length = size < PLACE_SIZE - sizeof(length) ? size : PLACE_SIZE - sizeof(length);

	memcpy(last, &length, sizeof(length));
	memcpy(last + sizeof(length), data, length);
}

/* Sets the counter of each edge that ran to 1. A counter does not tell how often its edge ran. */
static void collect(void)
{
	uint64_t count = __atomic_load_n(&trace[0], __ATOMIC_ACQUIRE);
	uint64_t before = 0;

	for (uint64_t i = 1; i <= count; i++) {
		uint64_t place = trace[i] - text;

		if (place >= TEXT_MAX)
			continue;
		covered[place] = true;
		counters[((place ^ before * 31) * 0x9e3779b97f4a7c15) >> 48 & (COUNTERS - 1)] = 1;
		before = place;
	}
}

int __wrap_LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int result;

	if (!trace)
		start();
	if (last)
		remember(data, size);
	__atomic_store_n(&trace[0], 0, __ATOMIC_RELEASE);
	result = __real_LLVMFuzzerTestOneInput(data, size);
	collect();
	return result;
}
