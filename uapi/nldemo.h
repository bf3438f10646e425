/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/*
 * The wire protocol of rust_nldemo: raw netlink, with a kernel socket in every
 * network namespace. specs/nldemo.yaml describes the same protocol for YNL.
 */
#ifndef _UAPI_NLDEMO_H
#define _UAPI_NLDEMO_H

/* The netlink protocol number, unless the module parameter "protocol" names another number. */
#define NLDEMO_PROTOCOL_DEFAULT	23
/*
 * The range of the protocol number. Lower numbers belong to protocols of the
 * kernel. The highest number that the kernel allows is MAX_LINKS - 1.
 */
#define NLDEMO_PROTOCOL_MIN	23
#define NLDEMO_PROTOCOL_MAX	31

/* Message types. Types below NLMSG_MIN_TYPE (16) are netlink's own. */

/* Echo. The answer has the same type, sequence number and payload, byte for byte. */
#define NLDEMO_MSG_ECHO		16
/* Asks for the configuration of the network namespace. */
#define NLDEMO_MSG_CONFIG_GET	17
/* The answer to CONFIG_GET, with all attributes NLDEMO_CONFIG_A_*. */
#define NLDEMO_MSG_CONFIG	18
/*
 * Changes the values that have an attribute in the message. If one value is
 * refused, none is changed. Values without an attribute stay. Needs CAP_NET_ADMIN
 * in the user namespace that owns the network namespace.
 */
#define NLDEMO_MSG_CONFIG_SET	19
/* Event: the configuration was changed. The attributes have the new values. */
#define NLDEMO_MSG_CONFIG_NTF	20
/*
 * Asks for the statistics of the network namespace: totals, or with NLM_F_DUMP
 * one message for each CPU that the machine can have.
 */
#define NLDEMO_MSG_STATS_GET	21
/* The answer to STATS_GET, with attributes NLDEMO_STATS_A_*. */
#define NLDEMO_MSG_STATS	22
/*
 * The answer to a message of type 0 without flags. It has the payload of that
 * message. Netlink "hello kernel" clients send such messages, and expect this answer.
 */
#define NLDEMO_MSG_HELLO_REPLY	23
/*
 * Event, in the initial network namespace only: another network namespace was
 * deleted (NLDEMO_NETNS_A_*).
 */
#define NLDEMO_MSG_NETNS_NTF	24

/* The multicast group of all events; no privilege is needed to join it. */
#define NLDEMO_GROUP_EVENTS	1

/* Configuration. Integers are in host byte order. */
#define NLDEMO_CONFIG_A_ENABLED		1	/* u8: 1 if packets are queued, else 0 */
#define NLDEMO_CONFIG_A_QUEUE		2	/* u16: the first queue */
#define NLDEMO_CONFIG_A_QUEUES		3	/* u16: the number of queues, at least 1 */
#define NLDEMO_CONFIG_A_SPREAD		4	/* u8: NLDEMO_SPREAD_* */
#define NLDEMO_CONFIG_A_BYPASS		5	/* u8: 1 if packets pass while their queue has no consumer */
#define NLDEMO_CONFIG_A_HOOKS		6	/* u8: NLDEMO_HOOKS_*, bit n for NF_INET_* number n */
#define NLDEMO_CONFIG_A_PRIORITY	7	/* s32, NF_IP_PRI_*: hooks with lower numbers run earlier */
#define NLDEMO_CONFIG_A_SKIP_MARK	8	/* u32: packets with this mark pass; 0 turns this off */
#define NLDEMO_CONFIG_A_IPV4		9	/* nest: NLDEMO_FAMILY_A_* */
#define NLDEMO_CONFIG_A_IPV6		10	/* nest: NLDEMO_FAMILY_A_* */
/* u32, in answers and events: the number of the namespace's latest event */
#define NLDEMO_CONFIG_A_EVENT		11
/*
 * u8, in answers and events: 1 if the hooks are registered, 0 if the namespace
 * had no room for the hooks. While it is 0, each CONFIG_SET tries to register
 * the hooks, even if CONFIG_SET changes nothing else.
 */
#define NLDEMO_CONFIG_A_HOOKED		12
#define NLDEMO_CONFIG_A_MAX		12

/* How packets are spread over more than one queue. */
enum nldemo_spread {
	NLDEMO_SPREAD_FLOW = 0,	/* by a packet's two addresses; so packets of a flow stay in order */
	NLDEMO_SPREAD_CPU = 1,	/* by the CPU that handles the packet */
};

/* The bits of NLDEMO_CONFIG_A_HOOKS. */
enum nldemo_hooks {
	NLDEMO_HOOKS_PRE_ROUTING = 1,
	NLDEMO_HOOKS_LOCAL_IN = 2,
	NLDEMO_HOOKS_FORWARD = 4,
	NLDEMO_HOOKS_LOCAL_OUT = 8,
	NLDEMO_HOOKS_POST_ROUTING = 16,
};

/* Which packets of one family (IPv4 or IPv6) are queued. */
#define NLDEMO_FAMILY_A_TYPES	1	/* binary: the set of ICMP types */
#define NLDEMO_FAMILY_A_MAX	1

/* A set of types: type n is bit n % 8 (counted from the lowest) of byte n / 8. */
#define NLDEMO_TYPES_LEN	32

/* Statistics. A counter has 4 bytes if its value fits, otherwise 8, in host byte order. */
#define NLDEMO_STATS_A_CPU	1	/* u32, in dumps: the CPU of these counters */
#define NLDEMO_STATS_A_MESSAGES	2	/* netlink messages that the module handled */
#define NLDEMO_STATS_A_BYTES	3	/* bytes of the handled messages, including headers */
#define NLDEMO_STATS_A_ACKS	4	/* acknowledgements without an error */
#define NLDEMO_STATS_A_ERRORS	5	/* reported errors, without those of NLDEMO_STATS_A_REFUSED */
#define NLDEMO_STATS_A_REFUSED	6	/* requests refused because the sender lacks CAP_NET_ADMIN */
#define NLDEMO_STATS_A_IPV4	7	/* nest: NLDEMO_PACKETS_A_* */
#define NLDEMO_STATS_A_IPV6	8	/* nest: NLDEMO_PACKETS_A_* */
#define NLDEMO_STATS_A_HOOKED	9	/* u8, in totals: the value of NLDEMO_CONFIG_A_HOOKED */
#define NLDEMO_STATS_A_MAX	9

/*
 * ICMP packets of one family. A packet is counted at each hook point that it
 * passes. Of a fragmented packet only the first fragment is counted.
 */
#define NLDEMO_PACKETS_A_SEEN		1	/* packets of all ICMP types, and unparsable packets */
#define NLDEMO_PACKETS_A_MATCHED	2	/* packets of a type that is queued */
#define NLDEMO_PACKETS_A_SKIPPED	3	/* matched packets that passed because of a mark or a VRF */
#define NLDEMO_PACKETS_A_QUEUED		4	/* matched packets that went to a queue */
#define NLDEMO_PACKETS_A_UNPARSABLE	5	/* packets whose headers end early or are contradictory */
#define NLDEMO_PACKETS_A_MAX		5

/* Describes a network namespace that was deleted. */
#define NLDEMO_NETNS_A_COOKIE	1	/* u64: the namespace's cookie, which SO_NETNS_COOKIE reads, too */
#define NLDEMO_NETNS_A_EVENT	2	/* u32: the number of this event in the initial namespace */
#define NLDEMO_NETNS_A_MAX	2

#endif /* _UAPI_NLDEMO_H */
