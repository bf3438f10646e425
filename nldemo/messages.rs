// SPDX-License-Identifier: GPL-2.0

//! The types of messages.

use super::uapi::{
    NLDEMO_MSG_CONFIG,
    NLDEMO_MSG_CONFIG_GET,
    NLDEMO_MSG_CONFIG_NTF,
    NLDEMO_MSG_CONFIG_SET,
    NLDEMO_MSG_ECHO,
    NLDEMO_MSG_HELLO_REPLY,
    NLDEMO_MSG_NETNS_NTF,
    NLDEMO_MSG_STATS,
    NLDEMO_MSG_STATS_GET, //
};

use crate::net::netlink::MessageType;

pub(crate) const HELLO_REPLY: MessageType = MessageType::new(NLDEMO_MSG_HELLO_REPLY);
pub(crate) const ECHO: MessageType = MessageType::new(NLDEMO_MSG_ECHO);
pub(crate) const CONFIG_GET: MessageType = MessageType::new(NLDEMO_MSG_CONFIG_GET);
pub(crate) const CONFIG: MessageType = MessageType::new(NLDEMO_MSG_CONFIG);
pub(crate) const CONFIG_SET: MessageType = MessageType::new(NLDEMO_MSG_CONFIG_SET);
pub(crate) const CONFIG_NTF: MessageType = MessageType::new(NLDEMO_MSG_CONFIG_NTF);
pub(crate) const STATS_GET: MessageType = MessageType::new(NLDEMO_MSG_STATS_GET);
pub(crate) const STATS: MessageType = MessageType::new(NLDEMO_MSG_STATS);
pub(crate) const NETNS_NTF: MessageType = MessageType::new(NLDEMO_MSG_NETNS_NTF);
