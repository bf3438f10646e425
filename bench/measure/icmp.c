// SPDX-License-Identifier: GPL-2.0
/*
 * Measures ICMP and ICMPv6 packets. The hooks queue these packets. All these packets are echo
 * replies, which nobody answers.
 */
#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <string.h>
#include <sys/socket.h>

#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/icmp.h>
#include <linux/netfilter.h>

#include "pair.h"

static uint16_t checksum(uint32_t sum, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static void make_reply(uint8_t *packet, size_t size, uint32_t seed)
{
	struct icmphdr header = { .type = ICMP_ECHOREPLY };

	memcpy(packet, &header, sizeof(header));
	fill(packet + sizeof(header), size - sizeof(header), seed);
	header.checksum = checksum(0, packet, size);
	memcpy(packet, &header, sizeof(header));
}

static int open_raw(void)
{
	struct sockaddr_in local = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct icmp_filter filter = { .data = ~(1U << ICMP_ECHOREPLY) };
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);

	if (fd < 0 || setsockopt(fd, SOL_RAW, ICMP_FILTER, &filter, sizeof(filter)) ||
	    connect(fd, (struct sockaddr *)&local, sizeof(local)))
		die("raw socket");
	return fd;
}

static void measure_replies(char **arguments, void (*between)(void))
{
	struct repetition often = repetition(arguments);
	struct pair pair = {
		.sent_size = sizeof(struct icmphdr) + number("SIZE", arguments[2], 0, 65000),
		.received_start = sizeof(struct iphdr),
		.make = make_reply,
		.between = between,
	};

	pair.from = pair.to = open_raw();
	measure_pair(&pair, often);
}

/* ROUNDS TIMES SIZE: measures ICMP messages with SIZE bytes of data to 127.0.0.1. */
void measure_icmp(char **arguments)
{
	measure_replies(arguments, NULL);
}

static struct nfq_handle *library;

static int accept_packet(struct nfq_q_handle *queue, struct nfgenmsg *message,
			 struct nfq_data *packet, void *data)
{
	struct nfqnl_msg_packet_hdr *header = nfq_get_msg_packet_hdr(packet);

	(void)message;
	(void)data;
	if (!header)
		die("a queued packet without a header");
	return nfq_set_verdict(queue, ntohl(header->packet_id), NF_ACCEPT, 0, NULL);
}

static void consume(void)
{
	static char buffer[128 * 1024];
	ssize_t len = recv(nfq_fd(library), buffer, sizeof(buffer), MSG_DONTWAIT);

	if (len < 0)
		die("no packet was queued");
	if (nfq_handle_packet(library, buffer, (int)len) < 0)
		die("verdict");
}

/*
 * ROUNDS TIMES SIZE: measures the messages of measure_icmp(). Each message waits in queue 0 until
 * this program accepts it.
 */
void measure_queued(char **arguments)
{
	struct nfq_q_handle *queue;

	library = nfq_open();
	if (!library)
		die("nfq_open");
	queue = nfq_create_queue(library, 0, accept_packet, NULL);
	if (!queue || nfq_set_mode(queue, NFQNL_COPY_PACKET, 0xffff) < 0)
		die("nfq_create_queue");
	measure_replies(arguments, consume);
}

/* The number of IPv6 extension headers before the ICMPv6 message of a packet. */
static size_t extensions;

static void make_reply6(uint8_t *packet, size_t size, uint32_t seed)
{
	static const uint8_t padding[] = { IP6OPT_PADN, 4, 0, 0, 0, 0 };
	size_t start = sizeof(struct ip6_hdr) + extensions * 8;
	uint8_t *message = packet + start;
	struct icmp6_hdr header = { .icmp6_type = ICMP6_ECHO_REPLY };
	struct ip6_hdr ip = {
		.ip6_src = IN6ADDR_LOOPBACK_INIT, .ip6_dst = IN6ADDR_LOOPBACK_INIT,
	};
	/* Each of the two addresses ::1 in the pseudo-header adds 1 to the checksum. */
	uint32_t pseudo = (uint32_t)(size - start) + IPPROTO_ICMPV6 + 1 + 1;

	ip.ip6_flow = htonl(6U << 28);
	ip.ip6_plen = htons((uint16_t)(size - sizeof(ip)));
	ip.ip6_nxt = extensions ? IPPROTO_DSTOPTS : IPPROTO_ICMPV6;
	ip.ip6_hlim = 64;
	memcpy(packet, &ip, sizeof(ip));
	for (size_t i = 0; i < extensions; i++) {
		uint8_t *extension = packet + sizeof(ip) + i * 8;

		extension[0] = i + 1 < extensions ? IPPROTO_DSTOPTS : IPPROTO_ICMPV6;
		extension[1] = 0;
		memcpy(extension + 2, padding, sizeof(padding));
	}
	memcpy(message, &header, sizeof(header));
	fill(message + sizeof(header), size - start - sizeof(header), seed);
	header.icmp6_cksum = checksum(pseudo, message, size - start);
	memcpy(message, &header, sizeof(header));
}

/*
 * ROUNDS TIMES SIZE EXTENSIONS: measures ICMPv6 messages to ::1 behind EXTENSIONS extension
 * headers.
 */
void measure_icmpv6(char **arguments)
{
	struct repetition often = repetition(arguments);
	size_t size = number("SIZE", arguments[2], 0, 65000);
	struct sockaddr_in6 local = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct pair pair = { .make = make_reply6 };
	struct icmp6_filter filter;

	extensions = number("EXTENSIONS", arguments[3], 0, 100);
	pair.sent_start = sizeof(struct ip6_hdr) + extensions * 8;
	pair.sent_size = pair.sent_start + sizeof(struct icmp6_hdr) + size;
	ICMP6_FILTER_SETBLOCKALL(&filter);
	ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
	pair.from = socket(AF_INET6, SOCK_RAW, IPPROTO_RAW);
	pair.to = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
	if (pair.from < 0 || pair.to < 0 ||
	    setsockopt(pair.to, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof(filter)) ||
	    connect(pair.from, (struct sockaddr *)&local, sizeof(local)))
		die("raw socket");
	measure_pair(&pair, often);
}
