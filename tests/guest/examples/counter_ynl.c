// SPDX-License-Identifier: GPL-2.0
/*
 * A client of examples/counter. It uses the kernel's YNL library in C, and the code that YNL's generator
 * makes from the specification.
 *
 * usage: counter-ynl NUMBER BY: adds BY to the counter NUMBER. Prints the counter's value from the event
 * and from an answer, and the sum of all counters.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ynl.h>

#include "counter-user.h"

static void fail(struct ynl_sock *ys, const char *what)
{
	fprintf(stderr, "%s: %s\n", what, ys->err.msg);
	exit(1);
}

static void add(struct ynl_sock *ys, unsigned int number, unsigned int by)
{
	struct counter_add_req *request = counter_add_req_alloc();

	counter_add_req_set_number(request, number);
	counter_add_req_set_by(request, by);
	if (counter_add(ys, request))
		fail(ys, "add");
	counter_add_req_free(request);
}

static void print_event(struct ynl_sock *ys)
{
	struct counter_get_ntf *event;

	if (ynl_ntf_check(ys) || !ynl_has_ntf(ys))
		fail(ys, "no event");
	event = (void *)ynl_ntf_dequeue(ys);
	printf("event %u: %llu\n", event->obj.number, event->obj.value);
	counter_get_ntf_free(event);
}

static void print_one(struct ynl_sock *ys, unsigned int number)
{
	struct counter_get_req *request = counter_get_req_alloc();
	struct counter_get_rsp *found;

	counter_get_req_set_number(request, number);
	found = counter_get(ys, request);
	if (!found)
		fail(ys, "get");
	printf("counter %u: %llu\n", found->number, found->value);
	counter_get_rsp_free(found);
	counter_get_req_free(request);
}

static void print_all(struct ynl_sock *ys)
{
	struct counter_get_list *all = counter_get_dump(ys);
	unsigned long long sum = 0;
	unsigned int count = 0;

	if (!all)
		fail(ys, "dump");
	ynl_dump_foreach(all, found) {
		sum += found->value;
		count++;
	}
	printf("all %u: %llu\n", count, sum);
	counter_get_list_free(all);
}

int main(int argc, char **argv)
{
	struct ynl_error error;
	struct ynl_sock *ys;

	if (argc != 3)
		return 2;
	ys = ynl_sock_create(&ynl_counter_family, &error);
	if (!ys) {
		fprintf(stderr, "no socket: %s\n", error.msg);
		return 1;
	}
	if (ynl_subscribe(ys, "changes"))
		fail(ys, "subscribe");
	add(ys, atoi(argv[1]), atoi(argv[2]));
	print_event(ys);
	print_one(ys, atoi(argv[1]));
	print_all(ys);
	ynl_sock_destroy(ys);
	return 0;
}
