// SPDX-License-Identifier: GPL-2.0
/*
 * BPF programs for Netfilter hooks, with which the benchmark compares the hook of the module. These
 * programs let every packet pass. A BPF program cannot queue a packet, because the verifier allows
 * only the results NF_DROP and NF_ACCEPT.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netfilter.h>

#include <bpf/bpf_helpers.h>

struct nf_hook_state;
struct sk_buff;

struct bpf_nf_ctx {
	const struct nf_hook_state *state;
	struct sk_buff *skb;
};

extern int bpf_dynptr_from_skb(struct __sk_buff *skb, __u64 flags, struct bpf_dynptr *ptr) __ksym;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *ptr, __u32 offset, void *buffer,
			      __u32 buffer__szk) __ksym;

SEC("netfilter")
int empty(struct bpf_nf_ctx *ctx)
{
	return NF_ACCEPT;
}

/* For each CPU, the number of ICMP packets that the programs look_ipv4 and look_ipv6 saw. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");

static __always_inline int count(void)
{
	__u64 *packets = bpf_map_lookup_elem(&seen, &(__u32) { 0 });

	if (packets)
		++*packets;
	return NF_ACCEPT;
}

/*
 * The module's first check: whether the packet may be ICMP. For most packets that are not ICMP, the
 * module makes no other check.
 */
SEC("netfilter")
int look_ipv4(struct bpf_nf_ctx *ctx)
{
	struct iphdr buffer, *iph;
	struct bpf_dynptr packet;

	if (bpf_dynptr_from_skb((struct __sk_buff *)ctx->skb, 0, &packet))
		return NF_ACCEPT;
	iph = bpf_dynptr_slice(&packet, 0, &buffer, sizeof(buffer));
	return iph && iph->protocol == IPPROTO_ICMP ? count() : NF_ACCEPT;
}

SEC("netfilter")
int look_ipv6(struct bpf_nf_ctx *ctx)
{
	struct ipv6hdr buffer, *ip6h;
	struct bpf_dynptr packet;

	if (bpf_dynptr_from_skb((struct __sk_buff *)ctx->skb, 0, &packet))
		return NF_ACCEPT;
	ip6h = bpf_dynptr_slice(&packet, 0, &buffer, sizeof(buffer));
	return ip6h && ip6h->nexthdr == IPPROTO_ICMPV6 ? count() : NF_ACCEPT;
}

char LICENSE[] SEC("license") = "GPL";
