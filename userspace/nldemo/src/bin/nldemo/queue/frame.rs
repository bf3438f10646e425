// SPDX-License-Identifier: GPL-2.0

//! The link layer header before a packet in a capture file.

use nfnetlink_queue::Packet;

/// The length of the two addresses in an Ethernet header. The type or a VLAN tag follows them.
const ADDRESSES_LEN: usize = 12;

/// The Ethernet header of a packet from a bridge. `None` for other packets, which begin with an IP
/// header. The kernel sends the VLAN tag in a separate attribute, and this function puts the tag
/// back into the header.
pub(super) fn header(packet: &Packet<'_>) -> Option<Vec<u8>> {
    if i32::from(packet.family) != libc::AF_BRIDGE {
        return None;
    }
    let mut header = match packet.link_header {
        Some(header) if header.len() > ADDRESSES_LEN => header.to_vec(),
        // If this machine sent the packet, the kernel gives no link layer header. Then this
        // function makes a header, and leaves unknown addresses 0.
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
