/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The C items that net/ needs and kernel::bindings lacks. module.mk lists the items that bindgen
 * generates from this file. Every other type comes from kernel::bindings, so that one C type stays
 * one Rust type.
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

/* These fields are within structs and unions that have no names. */
static const size_t SK_BUFF_MARK = offsetof(struct sk_buff, mark);
static const size_t SOCK_FLAGS = offsetof(struct sock, sk_flags);
/* struct net is opaque to kernel::bindings before 7.3. */
static const size_t NET_COOKIE = offsetof(struct net, net_cookie);
static const size_t NET_GEN = offsetof(struct net, gen);
static const size_t NET_GENL_SOCK = offsetof(struct net, genl_sock);
static const size_t NET_INUM = offsetof(struct net, ns.inum);
/* offsetof() does not accept a bit-field. The kernel has a constant for the byte of this one. */
static const size_t SK_BUFF_PKT_TYPE = PKT_TYPE_OFFSET;
/* struct net_device is opaque to kernel::bindings, and too entangled to bind here. */
static const size_t NET_DEVICE_IFINDEX = offsetof(struct net_device, ifindex);
/*
 * priv_flags is also a bit-field, in the low half of priv_flags_fast. In little endian, the low half
 * comes first.
 */
static const size_t NET_DEVICE_PRIV_FLAGS = offsetof(struct net_device, priv_flags_fast);
#ifndef __LITTLE_ENDIAN_BITFIELD
#error "priv_flags is elsewhere in big endian"
#endif
