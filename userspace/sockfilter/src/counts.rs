// SPDX-License-Identifier: MIT OR Apache-2.0

//! The counts of the packets of an interface.

use std::array;
use std::ops::Sub;
use std::time::Duration;

use serde::Serialize;

use crate::traffic;
use crate::traffic::Entry;

/// The number of kinds of packets.
const KINDS: usize = traffic::KINDS as usize;

/// A number of packets, and the number of their bytes from the IP header on. With `T` = [`f64`],
/// these are numbers per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Volume<T = u64> {
    /// Packets. A packet that a device or the stack has merged from several packets, or will
    /// segment later, is counted as one packet.
    pub packets: T,
    /// Bytes, without link layer headers.
    pub bytes: T,
}

/// Counts by protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Protocols<T = u64> {
    /// TCP over either version of IP.
    pub tcp: Volume<T>,
    /// UDP over either version of IP.
    pub udp: Volume<T>,
    /// ICMP over IPv4.
    pub icmp: Volume<T>,
    /// ICMP over IPv6.
    pub icmpv6: Volume<T>,
    /// All other packets: other IP protocols, packets that end early, ARP.
    pub other: Volume<T>,
}

/// The counts of an interface, by direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Counts<T = u64> {
    /// Incoming packets.
    pub received: Protocols<T>,
    /// Outgoing packets.
    pub sent: Protocols<T>,
}

impl<T: Copy> Protocols<T> {
    /// The counts with their names, in the order of the fields.
    #[must_use]
    pub fn named(&self) -> [(&'static str, Volume<T>); KINDS] {
        [
            ("tcp", self.tcp),
            ("udp", self.udp),
            ("icmp", self.icmp),
            ("icmpv6", self.icmpv6),
            ("other", self.other),
        ]
    }

    fn from_array([tcp, udp, icmp, icmpv6, other]: [Volume<T>; KINDS]) -> Self {
        Self {
            tcp,
            udp,
            icmp,
            icmpv6,
            other,
        }
    }

    fn map<U: Copy>(&self, change: impl Fn(T) -> U) -> Protocols<U> {
        Protocols::from_array(self.named().map(|(_, volume)| Volume {
            packets: change(volume.packets),
            bytes: change(volume.bytes),
        }))
    }
}

impl Counts {
    /// Makes the counts from the entries of the program's map. The entries for incoming packets
    /// come first, then the entries for outgoing packets.
    pub(crate) fn from_entries<E>(
        mut entry: impl FnMut(u32) -> Result<Entry, E>,
    ) -> Result<Self, E> {
        let mut protocols = |first| {
            let mut volumes = [Volume::default(); KINDS];
            for (index, volume) in (first..).zip(&mut volumes) {
                let [packets, bytes] = entry(index)?;
                *volume = Volume { packets, bytes };
            }
            Ok(Protocols::from_array(volumes))
        };
        Ok(Self {
            received: protocols(0)?,
            sent: protocols(traffic::KINDS)?,
        })
    }

    /// The counts per second. `time` must be the time in which `self` was counted.
    #[must_use]
    pub fn per_second(&self, time: Duration) -> Counts<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a rate is rounded anyway")]
        let rate = |count| count as f64 / time.as_secs_f64();
        Counts {
            received: self.received.map(rate),
            sent: self.sent.map(rate),
        }
    }
}

/// Subtracts the counts of an earlier reading. The result is the counts since that reading.
impl Sub for Counts {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        let since = |now: Protocols, before: Protocols| {
            let (now, before) = (now.named(), before.named());
            Protocols::from_array(array::from_fn(|index| {
                let ((_, now), (_, before)) = (now[index], before[index]);
                Volume {
                    packets: now.packets - before.packets,
                    bytes: now.bytes - before.bytes,
                }
            }))
        };
        Self {
            received: since(self.received, earlier.received),
            sent: since(self.sent, earlier.sent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(factor: u64) -> Counts {
        let entry = |index| Ok::<_, ()>([u64::from(index) * factor, 100 * factor]);
        Counts::from_entries(entry).unwrap()
    }

    #[test]
    fn entries_are_taken_in_the_order_of_the_program() {
        let counts = counts(1);
        let packets = |protocols: Protocols| protocols.named().map(|(_, volume)| volume.packets);
        assert_eq!(packets(counts.received), [0, 1, 2, 3, 4]);
        assert_eq!(packets(counts.sent), [5, 6, 7, 8, 9]);
        assert_eq!(
            (counts.received.icmp.packets, counts.sent.tcp.bytes),
            (2, 100)
        );
        assert_eq!(Counts::from_entries(|_| Err::<Entry, _>(7)), Err(7));
    }

    #[test]
    fn rates_are_of_what_came_since() {
        let since = counts(3) - counts(1);
        assert_eq!(since, counts(2));
        let rates = since.per_second(Duration::from_millis(500));
        assert!((rates.sent.other.packets - 36.0).abs() < 1e-9);
        assert!((rates.received.tcp.bytes - 400.0).abs() < 1e-9);
    }
}
