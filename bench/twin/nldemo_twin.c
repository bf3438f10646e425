// SPDX-License-Identifier: GPL-2.0
/*
 * The duties of rust_nldemo's packet and message paths in plain C, written as a
 * kernel developer would write them first: what the Rust module is measured
 * against. No statistics, no configuration at run time, no events.
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

struct twin_net {
	struct sock *sk;
};

static unsigned int twin_net_id;

/* IPv4 and IPv6 at each hook point. */
static struct nf_hook_ops twin_ops[2 * NF_INET_NUMHOOKS];
static unsigned int twin_ops_count;

static int twin_echo(struct sk_buff *skb, struct nlmsghdr *nlh,
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

static void twin_input(struct sk_buff *skb)
{
	netlink_rcv_skb(skb, twin_echo);
}

static unsigned int twin_verdict(void)
{
	return NF_QUEUE_NR(queue) | NF_VERDICT_FLAG_QUEUE_BYPASS;
}

static noinline unsigned int twin_ipv4_elsewhere(struct sk_buff *skb)
{
	struct iphdr iph;

	if (skb_copy_bits(skb, skb_network_offset(skb), &iph, sizeof(iph)) ||
	    iph.protocol != IPPROTO_ICMP || iph.frag_off & htons(IP_OFFSET))
		return NF_ACCEPT;
	return twin_verdict();
}

static unsigned int twin_hook_ipv4(void *priv, struct sk_buff *skb,
				   const struct nf_hook_state *state)
{
	const struct iphdr *iph = ip_hdr(skb);

	/* A packet socket's ring and an xfrm interface leave it in fragments. */
	if (unlikely(skb_headlen(skb) < sizeof(*iph)))
		return twin_ipv4_elsewhere(skb);
	if (iph->protocol != IPPROTO_ICMP || iph->frag_off & htons(IP_OFFSET))
		return NF_ACCEPT;
	return twin_verdict();
}

static unsigned int twin_hook_ipv6(void *priv, struct sk_buff *skb,
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
		return twin_verdict();
	default:
		return NF_ACCEPT;
	}
}

static int __net_init twin_net_init(struct net *net)
{
	struct netlink_kernel_cfg cfg = { .input = twin_input };
	struct twin_net *twin = net_generic(net, twin_net_id);
	int err;

	twin->sk = netlink_kernel_create(net, protocol, &cfg);
	if (!twin->sk)
		return -ENOMEM;
	err = nf_register_net_hooks(net, twin_ops, twin_ops_count);
	if (err)
		netlink_kernel_release(twin->sk);
	return err;
}

static void __net_exit twin_net_pre_exit(struct net *net)
{
	nf_unregister_net_hooks(net, twin_ops, twin_ops_count);
}

static void __net_exit twin_net_exit(struct net *net)
{
	struct twin_net *twin = net_generic(net, twin_net_id);

	netlink_kernel_release(twin->sk);
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
	unsigned int hooknum;

	for (hooknum = 0; hooknum < NF_INET_NUMHOOKS; hooknum++) {
		if (!(hooks & BIT(hooknum)))
			continue;
		twin_ops[twin_ops_count++] = (struct nf_hook_ops) {
			.hook = twin_hook_ipv4,
			.pf = NFPROTO_IPV4,
			.hooknum = hooknum,
			.priority = NF_IP_PRI_FILTER,
		};
		twin_ops[twin_ops_count++] = (struct nf_hook_ops) {
			.hook = twin_hook_ipv6,
			.pf = NFPROTO_IPV6,
			.hooknum = hooknum,
			.priority = NF_IP6_PRI_FILTER,
		};
	}
	return register_pernet_subsys(&twin_net_ops);
}

static void __exit twin_exit(void)
{
	unregister_pernet_subsys(&twin_net_ops);
}

module_init(twin_init);
module_exit(twin_exit);

MODULE_AUTHOR("The rust_nldemo developers");
MODULE_DESCRIPTION("Netlink echo and ICMP to NFQUEUE, in C");
MODULE_LICENSE("GPL");
