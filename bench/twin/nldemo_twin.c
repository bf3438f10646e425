// SPDX-License-Identifier: GPL-2.0
/*
 * The work of rust_nldemo for each packet and message, in C, with equal duties: a configuration
 * under RCU in each network namespace, counters for each CPU, sets of ICMP types, the skip mark,
 * the checks of headers, the spreading over queues, echoes that send the request's buffer back.
 * This twin has no requests that change the configuration or ask for the counters. The twin costs
 * more than nldemo_floor, because nldemo_floor lacks most of these duties. For packets and echoes,
 * the twin differs from the Rust module only in the language.
 */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/percpu.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/unaligned.h>
#include <net/ip.h>
#include <net/net_namespace.h>
#include <net/netlink.h>
#include <net/netns/generic.h>

#include "nldemo.h"

static ushort queue;
module_param(queue, ushort, 0444);
MODULE_PARM_DESC(queue, "First NFQUEUE queue that ICMP packets go to");

static ushort queues = 1;
module_param(queues, ushort, 0444);
MODULE_PARM_DESC(queues, "Number of queues that packets are spread over");

static unsigned int skip_mark;
module_param(skip_mark, uint, 0444);
MODULE_PARM_DESC(skip_mark, "Mark of packets that are not queued");

static unsigned int hooks = 1 << NF_INET_PRE_ROUTING;
module_param(hooks, uint, 0444);
MODULE_PARM_DESC(hooks, "Hook points, bit n for NF_INET_* number n");

enum family { IPV4, IPV6, FAMILIES };

/* A bit for each ICMP type. */
struct type_set {
	u8 bits[32];
};

struct twin_config {
	struct type_set types[FAMILIES];
	s32 priority;
	u32 skip_mark;
	u16 queue;
	u16 queues;
	u8 hooks;
	bool enabled;
	bool bypass;
	bool by_cpu;
};

enum { SEEN, MATCHED, SKIPPED, QUEUED, UNPARSABLE, PACKET_COUNTERS };
enum { RECEIVED, BYTES, SENT_BACK, REFUSED, FAILED, MESSAGE_COUNTERS };

struct twin_counters {
	u64 messages[MESSAGE_COUNTERS];
	u64 packets[FAMILIES][PACKET_COUNTERS];
};

struct twin_net {
	struct sock *sk;
	struct twin_config __rcu *config;
	struct twin_counters __percpu *counters;
	u64 seed;
	struct nf_hook_ops *ops;
	unsigned int ops_count;
};

static unsigned int twin_net_id;

/* --- The class of a packet ----------------------------------------------------------- */

enum packet_class { ICMP, OTHER, LATER_FRAGMENT, MALFORMED };

#define ICMP_HEADER_LEN 8
#define EXTENSION_LEN 8
#define MAX_EXTENSIONS 12

static __always_inline enum packet_class
classify_message(struct sk_buff *skb, unsigned int offset, unsigned int end, u8 *type)
{
	u8 buffer[ICMP_HEADER_LEN];
	const u8 *header = skb_header_pointer(skb, offset, sizeof(buffer), buffer);

	if (!header || end < offset || end - offset < sizeof(buffer))
		return MALFORMED;
	*type = header[0];
	return ICMP;
}

static __always_inline enum packet_class classify_ipv4(struct sk_buff *skb, u8 *type)
{
	unsigned int header_len, total_len;
	const struct iphdr *iph;
	struct iphdr buffer;

	iph = skb_header_pointer(skb, 0, sizeof(buffer), &buffer);
	if (!iph)
		return MALFORMED;
	if (iph->protocol != IPPROTO_ICMP)
		return OTHER;
	header_len = iph->ihl * 4;
	total_len = ntohs(iph->tot_len);
	if (iph->version != 4 || header_len < sizeof(*iph) || total_len < header_len)
		return MALFORMED;
	if (iph->frag_off & htons(IP_OFFSET))
		return LATER_FRAGMENT;
	return classify_message(skb, header_len, total_len, type);
}

/*
 * The extension headers of RFC 8200 and of later RFCs, except ESP: the bytes after an ESP header
 * are encrypted.
 */
static __always_inline bool is_extension(u8 next)
{
	switch (next) {
	case NEXTHDR_HOP:
	case NEXTHDR_ROUTING:
	case NEXTHDR_FRAGMENT:
	case NEXTHDR_AUTH:
	case NEXTHDR_DEST:
	case NEXTHDR_MOBILITY:
	case 139: /* Host Identity Protocol */
	case 140: /* Shim6 */
		return true;
	default:
		return false;
	}
}

static __always_inline enum packet_class classify_ipv6(struct sk_buff *skb, u8 *type)
{
	unsigned int end, offset = sizeof(struct ipv6hdr), left = MAX_EXTENSIONS;
	const struct ipv6hdr *ip6h;
	struct ipv6hdr buffer;
	u8 next;

	ip6h = skb_header_pointer(skb, 0, sizeof(buffer), &buffer);
	if (!ip6h)
		return MALFORMED;
	/* The end of the packet according to its header; 0 if the packet may be a jumbogram. */
	end = ntohs(ip6h->payload_len) ? sizeof(*ip6h) + ntohs(ip6h->payload_len) : 0;
	next = ip6h->nexthdr;
	for (;;) {
		u8 extension[EXTENSION_LEN], byte;
		const u8 *header;

		if (next != NEXTHDR_ICMP && !is_extension(next))
			return OTHER;
		if (ip6h->version != 6)
			return MALFORMED;
		if (next == NEXTHDR_ICMP) {
			if (end && skb_header_pointer(skb, end - 1, 1, &byte))
				return classify_message(skb, offset, end, type);
			if (!end && ip6h->nexthdr == NEXTHDR_HOP)
				return classify_message(skb, offset, UINT_MAX, type);
			return MALFORMED;
		}
		if (!left--)
			return MALFORMED;
		header = skb_header_pointer(skb, offset, sizeof(extension), extension);
		if (!header || (end && (end < offset || end - offset < sizeof(extension))))
			return MALFORMED;
		switch (next) {
		case NEXTHDR_FRAGMENT:
			if (!end)
				return MALFORMED;
			if (get_unaligned_be16(header + 2) & IP6_OFFSET)
				return LATER_FRAGMENT;
			offset += EXTENSION_LEN;
			break;
		case NEXTHDR_AUTH:
			offset += (header[1] + 2) * 4;
			break;
		default:
			offset += (header[1] + 1) * 8;
		}
		next = header[0];
	}
}

/* --- The queue of a packet ----------------------------------------------------------- */

static u64 mix(u64 bits)
{
	bits ^= bits >> 33;
	bits *= 0xff51afd7ed558ccdULL;
	bits ^= bits >> 33;
	bits *= 0xc4ceb9fe1a85ec53ULL;
	return bits ^ (bits >> 33);
}

/* Both directions of a flow give the same value. */
static u32 flow_ipv4(struct sk_buff *skb, u64 seed)
{
	__be32 buffer[2];
	const __be32 *addresses = skb_header_pointer(skb, offsetof(struct iphdr, saddr),
						     sizeof(buffer), buffer);
	u32 a, b;

	if (!addresses)
		return 0;
	a = ntohl(addresses[0]);
	b = ntohl(addresses[1]);
	return mix(((u64)min(a, b) << 32 | max(a, b)) ^ seed) >> 32;
}

static u32 flow_ipv6(struct sk_buff *skb, u64 seed)
{
	struct in6_addr buffer[2];
	const struct in6_addr *addresses = skb_header_pointer(skb, offsetof(struct ipv6hdr, saddr),
							      sizeof(buffer), buffer);
	unsigned int i, less;

	if (!addresses)
		return 0;
	less = memcmp(&addresses[0], &addresses[1], sizeof(addresses[0])) > 0;
	for (i = 0; i < 2; i++) {
		const u8 *address = addresses[i ^ less].s6_addr;

		seed = mix(seed ^ get_unaligned_be64(address));
		seed = mix(seed ^ get_unaligned_be64(address + 8));
	}
	return seed >> 32;
}

static noinline u16 spread(const struct twin_net *twin, const struct twin_config *config,
			   struct sk_buff *skb, enum family family)
{
	u32 hash;

	if (config->by_cpu)
		return config->queue + smp_processor_id() % config->queues;
	hash = family == IPV4 ? flow_ipv4(skb, twin->seed) : flow_ipv6(skb, twin->seed);
	return config->queue + (u16)((u64)hash * config->queues >> 32);
}

static __always_inline unsigned int decide(const struct twin_net *twin, struct sk_buff *skb,
					   const struct nf_hook_state *state, enum family family)
{
	const struct twin_config *config = rcu_dereference(twin->config);
	u64 __percpu *packets = twin->counters->packets[family];
	enum packet_class class;
	u8 type;

	if (!config->enabled || !(config->hooks & BIT(state->hook)) ||
	    config->priority != NF_IP_PRI_FILTER)
		return NF_ACCEPT;
	class = family == IPV4 ? classify_ipv4(skb, &type) : classify_ipv6(skb, &type);
	if (class == MALFORMED) {
		this_cpu_inc(packets[SEEN]);
		this_cpu_inc(packets[UNPARSABLE]);
	}
	if (class != ICMP)
		return NF_ACCEPT;
	this_cpu_inc(packets[SEEN]);
	if (!(config->types[family].bits[type / 8] & BIT(type % 8)))
		return NF_ACCEPT;
	this_cpu_inc(packets[MATCHED]);
	if (config->skip_mark && config->skip_mark == skb->mark) {
		this_cpu_inc(packets[SKIPPED]);
		return NF_ACCEPT;
	}
	/* The hook saw this packet before, when its input device was a device of the VRF. */
	if (state->hook == NF_INET_PRE_ROUTING && state->in && netif_is_l3_master(state->in) &&
	    skb->pkt_type != PACKET_LOOPBACK) {
		this_cpu_inc(packets[SKIPPED]);
		return NF_ACCEPT;
	}
	this_cpu_inc(packets[QUEUED]);
	return NF_QUEUE_NR(config->queues == 1 ? config->queue : spread(twin, config, skb, family)) |
	       (config->bypass ? NF_VERDICT_FLAG_QUEUE_BYPASS : 0);
}

static noinline unsigned int decide_ipv4(const struct twin_net *twin, struct sk_buff *skb,
					 const struct nf_hook_state *state)
{
	return decide(twin, skb, state, IPV4);
}

static noinline unsigned int decide_ipv6(const struct twin_net *twin, struct sk_buff *skb,
					 const struct nf_hook_state *state)
{
	return decide(twin, skb, state, IPV6);
}

/* For most packets the hook reads only the protocol. */
static unsigned int twin_hook_ipv4(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	if (likely(skb_headlen(skb) >= sizeof(struct iphdr)) && ip_hdr(skb)->protocol != IPPROTO_ICMP)
		return NF_ACCEPT;
	return decide_ipv4(priv, skb, state);
}

static unsigned int twin_hook_ipv6(void *priv, struct sk_buff *skb, const struct nf_hook_state *state)
{
	if (likely(skb_headlen(skb) >= sizeof(struct ipv6hdr))) {
		u8 next = ipv6_hdr(skb)->nexthdr;

		if (next != NEXTHDR_ICMP && !is_extension(next))
			return NF_ACCEPT;
	}
	return decide_ipv6(priv, skb, state);
}

/* --- Messages ------------------------------------------------------------------------ */

/*
 * Whether the request's own buffer can be the reply: the buffer has no other message, and no other
 * owner. A buffer from vmalloc() must not be cloned, because a clone has no destructor, and the
 * last owner would give the memory to kfree().
 */
static bool can_send_back(const struct sk_buff *skb, const struct nlmsghdr *nlh)
{
	return (const void *)nlh == skb->data && !skb_is_nonlinear(skb) &&
	       skb->len == nlmsg_total_size(nlmsg_len(nlh)) &&
	       !(skb_end_offset(skb) >= PAGE_SIZE && is_vmalloc_addr(skb->head)) && !skb_cloned(skb);
}

static int send_back(struct sk_buff *skb, struct nlmsghdr *nlh)
{
	u32 portid = NETLINK_CB(skb).portid;
	struct nlmsghdr *answer;
	struct sk_buff *reply;
	int len = nlmsg_len(nlh);

	if (can_send_back(skb, nlh)) {
		reply = skb_clone(skb, GFP_KERNEL);
		if (!reply)
			return -ENOBUFS;
		answer = (struct nlmsghdr *)reply->data;
		answer->nlmsg_type = NLDEMO_MSG_ECHO;
		answer->nlmsg_flags = 0;
		answer->nlmsg_pid = portid;
		memset(reply->cb, 0, sizeof(reply->cb));
		return nlmsg_unicast(skb->sk, reply, portid);
	}
	reply = nlmsg_new(len, GFP_KERNEL);
	if (!reply)
		return -ENOBUFS;
	answer = nlmsg_put(reply, portid, nlh->nlmsg_seq, NLDEMO_MSG_ECHO, len, 0);
	if (!answer) {
		nlmsg_free(reply);
		return -EMSGSIZE;
	}
	memcpy(nlmsg_data(answer), nlmsg_data(nlh), len);
	return nlmsg_unicast(skb->sk, reply, portid);
}

static int twin_message(struct sk_buff *skb, struct nlmsghdr *nlh, struct netlink_ext_ack *extack)
{
	struct twin_net *twin = net_generic(sock_net(skb->sk), twin_net_id);
	u64 __percpu *messages = twin->counters->messages;
	u32 len = nlh->nlmsg_len;
	int err = -EOPNOTSUPP;

	if (nlh->nlmsg_type == NLDEMO_MSG_ECHO)
		err = send_back(skb, nlh);
	this_cpu_inc(messages[RECEIVED]);
	this_cpu_add(messages[BYTES], len);
	this_cpu_inc(messages[err ? FAILED : SENT_BACK]);
	return err;
}

static void twin_input(struct sk_buff *skb)
{
	netlink_rcv_skb(skb, twin_message);
}

/* --- Network namespaces --------------------------------------------------------------- */

static struct twin_config *new_config(void)
{
	struct twin_config *config = kzalloc(sizeof(*config), GFP_KERNEL);

	if (!config)
		return NULL;
	memset(&config->types[IPV4], 0xff, sizeof(config->types[IPV4]));
	/* Echo requests and replies. */
	config->types[IPV6].bits[128 / 8] = BIT(0) | BIT(1);
	config->enabled = true;
	config->bypass = true;
	config->hooks = hooks;
	config->priority = NF_IP_PRI_FILTER;
	config->queue = queue;
	config->queues = queues;
	config->skip_mark = skip_mark;
	return config;
}

static void fill_ops(struct twin_net *twin)
{
	unsigned int hooknum;

	for (hooknum = 0; hooknum < NF_INET_NUMHOOKS; hooknum++) {
		if (!(hooks & BIT(hooknum)))
			continue;
		twin->ops[twin->ops_count++] = (struct nf_hook_ops) {
			.hook = twin_hook_ipv4,
			.priv = twin,
			.pf = NFPROTO_IPV4,
			.hooknum = hooknum,
			.priority = NF_IP_PRI_FILTER,
		};
		twin->ops[twin->ops_count++] = (struct nf_hook_ops) {
			.hook = twin_hook_ipv6,
			.priv = twin,
			.pf = NFPROTO_IPV6,
			.hooknum = hooknum,
			.priority = NF_IP6_PRI_FILTER,
		};
	}
}

static void free_net(struct twin_net *twin)
{
	kfree(twin->ops);
	free_percpu(twin->counters);
	kfree(rcu_dereference_protected(twin->config, true));
}

static int __net_init twin_net_init(struct net *net)
{
	struct netlink_kernel_cfg cfg = { .input = twin_input };
	struct twin_net *twin = net_generic(net, twin_net_id);
	struct twin_config *config = new_config();
	int err = -ENOMEM;

	RCU_INIT_POINTER(twin->config, config);
	twin->counters = alloc_percpu(struct twin_counters);
	twin->ops = kcalloc(2 * NF_INET_NUMHOOKS, sizeof(*twin->ops), GFP_KERNEL);
	if (!config || !twin->counters || !twin->ops)
		goto free;
	twin->seed = get_random_u64();
	fill_ops(twin);
	twin->sk = netlink_kernel_create(net, NLDEMO_PROTOCOL_DEFAULT, &cfg);
	if (!twin->sk)
		goto free;
	err = nf_register_net_hooks(net, twin->ops, twin->ops_count);
	if (err)
		goto release;
	return 0;
release:
	netlink_kernel_release(twin->sk);
free:
	free_net(twin);
	return err;
}

static void __net_exit twin_net_pre_exit(struct net *net)
{
	struct twin_net *twin = net_generic(net, twin_net_id);

	nf_unregister_net_hooks(net, twin->ops, twin->ops_count);
}

static void __net_exit twin_net_exit(struct net *net)
{
	struct twin_net *twin = net_generic(net, twin_net_id);

	netlink_kernel_release(twin->sk);
	free_net(twin);
}

static struct pernet_operations twin_net_ops = {
	.init = twin_net_init,
	.pre_exit = twin_net_pre_exit,
	.exit = twin_net_exit,
	.id = &twin_net_id,
	.size = sizeof(struct twin_net),
};

static int __init twin_init(void)
{
	if (!queues)
		return -ERANGE;
	return register_pernet_subsys(&twin_net_ops);
}

static void __exit twin_exit(void)
{
	unregister_pernet_subsys(&twin_net_ops);
}

module_init(twin_init);
module_exit(twin_exit);

MODULE_AUTHOR("The rust_nldemo developers");
MODULE_DESCRIPTION("Netlink echo and ICMP to NFQUEUE with the duties of rust_nldemo, in C");
MODULE_LICENSE("GPL");
