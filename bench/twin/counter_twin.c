// SPDX-License-Identifier: GPL-2.0
/*
 * examples/counter in C, for requests about one counter: a family of generic netlink with the
 * same policies, counters in each network namespace, a reply, and an event if a socket listens.
 * For these requests only the language differs from the Rust module. The Rust module also has a
 * dump.
 */
#include <linux/atomic.h>
#include <linux/module.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "counter.h"

#define COUNT 256

struct twin_net {
	atomic64_t counters[COUNT];
};

static unsigned int twin_net_id;
static struct genl_family twin_family;

static const struct nla_policy get_policy[] = {
	[COUNTER_A_NUMBER] = NLA_POLICY_MAX(NLA_U32, COUNT - 1),
};

static const struct nla_policy add_policy[] = {
	[COUNTER_A_NUMBER] = NLA_POLICY_MAX(NLA_U32, COUNT - 1),
	[COUNTER_A_BY] = NLA_POLICY_MIN(NLA_U32, 1),
};

static struct sk_buff *tell(u32 portid, u32 seq, u8 command, u32 number, u64 value)
{
	struct sk_buff *skb = genlmsg_new(nla_total_size(sizeof(u32)) + nla_total_size_64bit(sizeof(u64)),
					  GFP_KERNEL);
	void *head;

	if (!skb)
		return NULL;
	head = genlmsg_put(skb, portid, seq, &twin_family, 0, command);
	if (!head || nla_put_u32(skb, COUNTER_A_NUMBER, number) || nla_put_uint(skb, COUNTER_A_VALUE, value)) {
		nlmsg_free(skb);
		return NULL;
	}
	genlmsg_end(skb, head);
	return skb;
}

static atomic64_t *find(struct genl_info *info, u32 *number)
{
	struct twin_net *twin = net_generic(genl_info_net(info), twin_net_id);

	if (GENL_REQ_ATTR_CHECK(info, COUNTER_A_NUMBER))
		return NULL;
	*number = nla_get_u32(info->attrs[COUNTER_A_NUMBER]);
	return &twin->counters[*number];
}

static int twin_get(struct sk_buff *skb, struct genl_info *info)
{
	u32 number;
	atomic64_t *counter = find(info, &number);
	struct sk_buff *reply;

	if (!counter)
		return -EINVAL;
	reply = tell(info->snd_portid, info->snd_seq, COUNTER_CMD_GET, number, atomic64_read(counter));
	if (!reply)
		return -ENOBUFS;
	return genlmsg_reply(reply, info);
}

static int twin_add(struct sk_buff *skb, struct genl_info *info)
{
	u32 number;
	atomic64_t *counter = find(info, &number);
	struct sk_buff *event;
	u64 value;
	u32 by;

	if (!counter || GENL_REQ_ATTR_CHECK(info, COUNTER_A_BY))
		return -EINVAL;
	by = nla_get_u32(info->attrs[COUNTER_A_BY]);
	value = atomic64_add_return_relaxed(by, counter);
	if (!genl_has_listeners(&twin_family, genl_info_net(info), 0))
		return 0;
	event = tell(0, 0, COUNTER_CMD_ADD_NTF, number, value);
	if (!event)
		genl_set_err(&twin_family, genl_info_net(info), 0, 0, -ENOBUFS);
	else
		genlmsg_multicast_netns(&twin_family, genl_info_net(info), event, 0, 0, GFP_KERNEL);
	return 0;
}

static const struct genl_split_ops twin_ops[] = {
	{
		.cmd = COUNTER_CMD_GET,
		.policy = get_policy,
		.maxattr = ARRAY_SIZE(get_policy) - 1,
		.doit = twin_get,
		.flags = GENL_CMD_CAP_DO,
	},
	{
		.cmd = COUNTER_CMD_ADD,
		.policy = add_policy,
		.maxattr = ARRAY_SIZE(add_policy) - 1,
		.doit = twin_add,
		.flags = GENL_CMD_CAP_DO | GENL_UNS_ADMIN_PERM,
	},
};

static const struct genl_multicast_group twin_groups[] = {
	{ .name = COUNTER_MCGRP_CHANGES },
};

static struct genl_family twin_family = {
	.name = COUNTER_FAMILY_NAME,
	.version = COUNTER_FAMILY_VERSION,
	.netnsok = true,
	.parallel_ops = true,
	.split_ops = twin_ops,
	.n_split_ops = ARRAY_SIZE(twin_ops),
	.mcgrps = twin_groups,
	.n_mcgrps = ARRAY_SIZE(twin_groups),
	.module = THIS_MODULE,
};

static struct pernet_operations twin_net_ops = {
	.id = &twin_net_id,
	.size = sizeof(struct twin_net),
};

static int __init twin_init(void)
{
	int err = register_pernet_subsys(&twin_net_ops);

	if (err)
		return err;
	err = genl_register_family(&twin_family);
	if (err)
		unregister_pernet_subsys(&twin_net_ops);
	return err;
}

static void __exit twin_exit(void)
{
	genl_unregister_family(&twin_family);
	unregister_pernet_subsys(&twin_net_ops);
}

module_init(twin_init);
module_exit(twin_exit);

MODULE_AUTHOR("The rust_nldemo developers");
MODULE_DESCRIPTION("Counters in every network namespace, in C");
MODULE_LICENSE("GPL");
