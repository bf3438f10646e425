/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The C items that net/ needs and kernel::bindings lacks. module.mk lists the items that bindgen
 * generates from this file. All other types of C come from kernel::bindings, so that a C type never
 * has two different Rust types.
 */
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/netdevice.h>
#include <net/genetlink.h>
#include <net/netlink.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/sock.h>

/*
 * These fields are in structs and unions without names. bindgen invents names for such structs and
 * unions, and the names differ between configurations.
 */
static const size_t SK_BUFF_MARK = offsetof(struct sk_buff, mark);
static const size_t SOCK_FLAGS = offsetof(struct sock, sk_flags);
/* Before 7.3, struct net is an opaque type in kernel::bindings, so Rust cannot name its fields. */
static const size_t NET_COOKIE = offsetof(struct net, net_cookie);
static const size_t NET_GEN = offsetof(struct net, gen);
static const size_t NET_GENL_SOCK = offsetof(struct net, genl_sock);
static const size_t NET_INUM = offsetof(struct net, ns.inum);
/*
 * pkt_type is a bit-field, and offsetof() does not accept a bit-field. The kernel has a constant
 * for the offset of the byte that contains pkt_type.
 */
static const size_t SK_BUFF_PKT_TYPE = PKT_TYPE_OFFSET;
/*
 * struct net_device is an opaque type in kernel::bindings. bindgen could generate it here only with
 * many other types.
 */
static const size_t NET_DEVICE_IFINDEX = offsetof(struct net_device, ifindex);
/*
 * priv_flags is a bit-field, too. It is the low half of priv_flags_fast. On a little-endian machine
 * the low half comes first, so both have the same offset.
 */
static const size_t NET_DEVICE_PRIV_FLAGS = offsetof(struct net_device, priv_flags_fast);
#ifndef __LITTLE_ENDIAN_BITFIELD
#error "priv_flags is elsewhere in big endian"
#endif
