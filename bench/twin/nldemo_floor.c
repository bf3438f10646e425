// SPDX-License-Identifier: GPL-2.0
/*
 * Netlink echo and ICMP to NFQUEUE as a kernel developer would first write them in C: no
 * statistics, no configuration at run time, and only the checks that prevent out-of-bounds reads.
 */
#include <linux/icmpv6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/module.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>
#include <net/netlink.h>
#include <net/netns/generic.h>

#include "nldemo.h"

static int protocol = NLDEMO_PROTOCOL_DEFAULT;
module_param(protocol, int, 0444);
MODULE_PARM_DESC(protocol, "Netlink protocol number");

static ushort queue;
module_param(queue, ushort, 0444);
MODULE_PARM_DESC(queue, "NFQUEUE queue that ICMP packets go to");

static unsigned int hooks = 1 << NF_INET_PRE_ROUTING;
module_param(hooks, uint, 0444);
MODULE_PARM_DESC(hooks, "Hook points, bit n for NF_INET_* number n");

struct floor_net {
	struct sock *sk;
};

static unsigned int floor_net_id;

/* A hook for IPv4 and a hook for IPv6 at each hook point. */
static struct nf_hook_ops floor_ops[2 * NF_INET_NUMHOOKS];
static unsigned int floor_ops_count;

static int floor_echo(struct sk_buff *skb, struct nlmsghdr *nlh,
		     struct netlink_ext_ack *extack)
{
	u32 portid = NETLINK_CB(skb).portid;
	struct nlmsghdr *answer;
	struct sk_buff *reply;
	int len = nlmsg_len(nlh);

	if (nlh->nlmsg_type != NLDEMO_MSG_ECHO)
		return -EOPNOTSUPP;
	reply = nlmsg_new(len, GFP_KERNEL);
	if (!reply)
		return -ENOMEM;
	answer = nlmsg_put(reply, portid, nlh->nlmsg_seq, NLDEMO_MSG_ECHO, len, 0);
	if (!answer) {
		nlmsg_free(reply);
		return -EMSGSIZE;
	}
	memcpy(nlmsg_data(answer), nlmsg_data(nlh), len);
	return nlmsg_unicast(skb->sk, reply, portid);
}

static void floor_input(struct sk_buff *skb)
{
	netlink_rcv_skb(skb, floor_echo);
}

static unsigned int floor_verdict(void)
{
	return NF_QUEUE_NR(queue) | NF_VERDICT_FLAG_QUEUE_BYPASS;
}

static noinline unsigned int floor_ipv4_elsewhere(struct sk_buff *skb)
{
	struct iphdr iph;

	if (skb_copy_bits(skb, skb_network_offset(skb), &iph, sizeof(iph)) ||
	    iph.protocol != IPPROTO_ICMP || iph.frag_off & htons(IP_OFFSET))
		return NF_ACCEPT;
	return floor_verdict();
}

static unsigned int floor_hook_ipv4(void *priv, struct sk_buff *skb,
				   const struct nf_hook_state *state)
{
	const struct iphdr *iph = ip_hdr(skb);

	/*
	 * The IP header may be in fragments of the skb, for example if the packet comes from the
	 * ring of a packet socket or from an xfrm interface.
	 */
	if (unlikely(skb_headlen(skb) < sizeof(*iph)))
		return floor_ipv4_elsewhere(skb);
	if (iph->protocol != IPPROTO_ICMP || iph->frag_off & htons(IP_OFFSET))
		return NF_ACCEPT;
	return floor_verdict();
}

static unsigned int floor_hook_ipv6(void *priv, struct sk_buff *skb,
				   const struct nf_hook_state *state)
{
	struct icmp6hdr buffer, *icmp6h;
	unsigned int offset = 0;

	if (ipv6_find_hdr(skb, &offset, IPPROTO_ICMPV6, NULL, NULL) < 0)
		return NF_ACCEPT;
	icmp6h = skb_header_pointer(skb, offset, sizeof(buffer), &buffer);
	if (!icmp6h)
		return NF_ACCEPT;
	switch (icmp6h->icmp6_type) {
	case ICMPV6_ECHO_REQUEST:
	case ICMPV6_ECHO_REPLY:
		return floor_verdict();
	default:
		return NF_ACCEPT;
	}
}

static int __net_init floor_net_init(struct net *net)
{
	struct netlink_kernel_cfg cfg = { .input = floor_input };
	struct floor_net *floor = net_generic(net, floor_net_id);
	int err;

	floor->sk = netlink_kernel_create(net, protocol, &cfg);
	if (!floor->sk)
		return -ENOMEM;
	err = nf_register_net_hooks(net, floor_ops, floor_ops_count);
	if (err)
		netlink_kernel_release(floor->sk);
	return err;
}

static void __net_exit floor_net_pre_exit(struct net *net)
{
	nf_unregister_net_hooks(net, floor_ops, floor_ops_count);
}

static void __net_exit floor_net_exit(struct net *net)
{
	struct floor_net *floor = net_generic(net, floor_net_id);

	netlink_kernel_release(floor->sk);
}

static struct pernet_operations floor_net_ops = {
	.init = floor_net_init,
	.pre_exit = floor_net_pre_exit,
	.exit = floor_net_exit,
	.id = &floor_net_id,
	.size = sizeof(struct floor_net),
};

static int __init floor_init(void)
{
	unsigned int hooknum;

	for (hooknum = 0; hooknum < NF_INET_NUMHOOKS; hooknum++) {
		if (!(hooks & BIT(hooknum)))
			continue;
		floor_ops[floor_ops_count++] = (struct nf_hook_ops) {
			.hook = floor_hook_ipv4,
			.pf = NFPROTO_IPV4,
			.hooknum = hooknum,
			.priority = NF_IP_PRI_FILTER,
		};
		floor_ops[floor_ops_count++] = (struct nf_hook_ops) {
			.hook = floor_hook_ipv6,
			.pf = NFPROTO_IPV6,
			.hooknum = hooknum,
			.priority = NF_IP6_PRI_FILTER,
		};
	}
	return register_pernet_subsys(&floor_net_ops);
}

static void __exit floor_exit(void)
{
	unregister_pernet_subsys(&floor_net_ops);
}

module_init(floor_init);
module_exit(floor_exit);

MODULE_AUTHOR("The rust_nldemo developers");
MODULE_DESCRIPTION("Netlink echo and ICMP to NFQUEUE at its simplest, in C");
MODULE_LICENSE("GPL");
