// SPDX-License-Identifier: MIT OR Apache-2.0

//! Why the content of a packet cannot be replaced.

use crate::wire::MAX_PAYLOAD;

/// The reason why the content of a packet cannot be replaced: the kernel would drop the packet, or
/// the packet with the new content would be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unwritable {
    /// A user namespace other than the initial one owns the network namespace, as in most
    /// containers.
    #[error(
        "the initial user namespace does not own this network namespace, so the kernel accepts no \
         new content for packets"
    )]
    Namespace,
    /// The queue's copy mode leaves the content out.
    #[error("the packet's content was not copied: the queue's copy mode must be packet")]
    NotCopied,
    /// Only the first bytes of the packet were copied. With new content, the kernel would cut off
    /// the other bytes.
    #[error("only {copied} of the packet's {length} bytes were copied")]
    Truncated {
        /// The number of bytes that were copied.
        copied: usize,
        /// The length of the packet.
        length: usize,
    },
    /// The packet was queued by a hook of a family other than IPv4 and IPv6, such as a bridge.
    #[error("the kernel accepts new content only at IPv4 and IPv6 hooks")]
    Family,
    /// The packet was merged from several packets, and the kernel will segment it later.
    #[error("the packet will be segmented later: bind the queue without gso")]
    Gso,
    /// The packet is a fragment. With connection tracking, the kernel accepts no new content for
    /// fragments. Also, the checksum in a fragment covers bytes that are in other fragments.
    #[error("the packet is a fragment")]
    Fragment,
    /// The headers are broken.
    #[error("the packet's headers are broken")]
    Unparsable,
    /// The packet has more than 12 extension headers. The kernel compares the extension headers of
    /// the new content with those of the packet, and refuses content with more than 12 of these
    /// headers (`IP6_MAX_EXT_HDRS_CNT`).
    #[error("the packet has too many extension headers")]
    Extensions,
    /// The checksum was wrong before, or covers bytes that are not in the packet.
    #[error("the packet's checksum does not match its content, and a new checksum would hide that")]
    Checksum,
    /// This crate cannot compute the checksum of the packet's transport protocol.
    #[error("the checksum of protocol {0} is not known")]
    Protocol(u8),
    /// Only echo requests, echo replies and UDP packets have data that can be replaced.
    #[error("the packet is neither an echo message nor UDP, so it has no data to replace")]
    NoData,
    /// The packet is a message between neighbours. Receivers discard such a message if its TTL or
    /// hop limit was changed.
    #[error(
        "the packet is a message between neighbours, such as neighbour discovery, and a standard \
         requires its hop limit"
    )]
    Neighbours,
    /// The new content is too long for a message.
    #[error("{0} bytes are more than the {MAX_PAYLOAD} that the kernel accepts")]
    TooLong(usize),
    /// The new content lacks a part of a header.
    #[error("the new content ends within its headers")]
    TooShort,
    /// The new content changes a part of a header that the kernel does not allow to change.
    #[error("the kernel accepts no change of {0}")]
    Header(&'static str),
}
