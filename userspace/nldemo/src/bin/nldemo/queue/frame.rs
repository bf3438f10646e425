// SPDX-License-Identifier: GPL-2.0

//! What comes before a packet in a capture file.

use nfnetlink_queue::Packet;

/// Both addresses of an Ethernet header. The type, or a VLAN tag, follows.
const ADDRESSES_LEN: usize = 12;

/// The Ethernet header of a packet that was caught on a bridge, which may be of any protocol; with its
/// VLAN tag, which the kernel tells apart. `None` for packets that begin with an IP header.
pub(super) fn header(packet: &Packet<'_>) -> Option<Vec<u8>> {
    if i32::from(packet.family) != libc::AF_BRIDGE {
        return None;
    }
    let mut header = match packet.link_header {
        Some(header) if header.len() > ADDRESSES_LEN => header.to_vec(),
        // Of packets of this machine none is told.
        _ => {
            let mut header = vec![0; ADDRESSES_LEN];
            if let (Some(source), Some(address)) = (header.get_mut(6..), packet.hardware_address) {
                if source.len() == address.len() {
                    source.copy_from_slice(address);
                }
            }
            header.extend(packet.ethertype.to_be_bytes());
            header
        }
    };
    if let Some(vlan) = packet.vlan {
        let [[kind0, kind1], [tci0, tci1]] = [vlan.protocol, vlan.tci].map(u16::to_be_bytes);
        header.splice(ADDRESSES_LEN..ADDRESSES_LEN, [kind0, kind1, tci0, tci1]);
    }
    Some(header)
}
