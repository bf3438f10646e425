// SPDX-License-Identifier: GPL-2.0

//! The client of the module's control plane: sends requests, and reads the answers.

use knetlink::HEADER_LEN;
use knetlink::KernelSocket;
use knetlink::Malformed;
use knetlink::Message;
use knetlink::Status;
use netlink_packet_core::NLM_F_ACK;
use netlink_packet_core::NLM_F_DUMP;
use nix::errno::Errno;

use super::config::Config;
use super::setting::Setting;
use super::stats::CpuStats;
use super::stats::Totals;
use crate::error::Error;
use crate::error::Result;
use crate::protocol;

/// The number of attempts to read a dump. An attempt fails if the kernel marks the dump as inconsistent.
const DUMP_ATTEMPTS: usize = 5;

/// A connection to the module's control plane, in the network namespace where it was opened.
pub struct Control {
    protocol: u8,
    pub(super) socket: KernelSocket,
}

impl Control {
    /// Opens a socket on the module's protocol number.
    pub fn open(protocol: u8) -> Result<Self> {
        let socket = KernelSocket::open(protocol);
        let socket = socket.map_err(|error| Error::of_module(error, protocol))?;
        Ok(Self { protocol, socket })
    }

    /// Reads the configuration.
    pub fn config(&mut self) -> Result<Config> {
        self.config_among(|_| Ok(()))
    }

    /// Reads the configuration. Other messages that arrive before the answer go to `other`.
    pub(super) fn config_among(
        &mut self,
        other: impl FnMut(&Message<'_>) -> knetlink::Result<()>,
    ) -> Result<Config> {
        let config = self.get(
            "read the configuration",
            (protocol::MSG_CONFIG_GET, NLM_F_ACK),
            (protocol::MSG_CONFIG, Config::parse),
            other,
        )?;
        one_of(config)
    }

    /// Changes the configuration to have all of `settings`. On an error nothing changes. This needs
    /// `CAP_NET_ADMIN` in the user namespace that owns the network namespace.
    ///
    /// If the kernel refuses the change, the error names the setting that the kernel points at.
    pub fn change(&mut self, settings: &[Setting]) -> Result<()> {
        let mut payload = Vec::new();
        let mut ends = Vec::new();
        for setting in settings {
            setting.append_to(&mut payload);
            ends.push(payload.len());
        }
        let (kind, flags) = (protocol::MSG_CONFIG_SET, NLM_F_ACK);
        let status = self
            .socket
            .ask(kind, flags, &payload, |_| Ok(()))
            .map_err(|error| Error::of_module(error, self.protocol))?;
        check_change(settings, &ends, status)
    }

    /// Reads the statistics as totals over all CPUs.
    pub fn stats(&mut self) -> Result<Totals> {
        let stats = self.get(
            "read the statistics",
            (protocol::MSG_STATS_GET, NLM_F_ACK),
            (protocol::MSG_STATS, Totals::parse),
            |_| Ok(()),
        )?;
        one_of(stats)
    }

    /// Reads the statistics of each CPU that the machine can have.
    pub fn stats_per_cpu(&mut self) -> Result<Vec<CpuStats>> {
        let mut dump = || {
            self.get(
                "read the statistics by CPU",
                (protocol::MSG_STATS_GET, NLM_F_DUMP),
                (protocol::MSG_STATS, CpuStats::parse),
                |_| Ok(()),
            )
        };
        for _ in 1..DUMP_ATTEMPTS {
            match dump() {
                Err(Error::Netlink(knetlink::Error::Interrupted { .. })) => {}
                finished => return finished,
            }
        }
        dump()
    }

    /// Sends a request without attributes and collects the answers.
    fn get<T>(
        &mut self,
        operation: &str,
        (request, flags): (u16, u16),
        (answer, parse): (u16, impl Fn(&[u8]) -> Result<T, Malformed>),
        mut other: impl FnMut(&Message<'_>) -> knetlink::Result<()>,
    ) -> Result<Vec<T>> {
        let mut answers = Vec::new();
        let status = self.socket.ask(request, flags, &[], |message| {
            if message.kind == answer {
                answers.push(parse(message.payload)?);
                return Ok(());
            }
            other(message)
        });
        let status = status.map_err(|error| match error {
            knetlink::Error::Interrupted { .. } => {
                let operation = operation.to_owned();
                knetlink::Error::Interrupted { operation }.into()
            }
            error => Error::of_module(error, self.protocol),
        })?;
        check(operation, status)?;
        Ok(answers)
    }
}

fn one_of<T>(mut answers: Vec<T>) -> Result<T> {
    match (answers.pop(), answers.is_empty()) {
        (Some(answer), true) => Ok(answer),
        _ => Err(Malformed("not exactly one answer before the acknowledgement").into()),
    }
}

/// Checks the answer to a change. `ends` has the offset in the request's payload at which each
/// setting ends. If the kernel refused the change, the error names the setting that the kernel
/// points at. If the kernel points at none, the error names all settings.
fn check_change(settings: &[Setting], ends: &[usize], mut status: Option<Status>) -> Result<()> {
    let mut named = settings;
    if let Some(status) = &mut status {
        let found = setting_at(ends, status.offset).and_then(|index| settings.get(index));
        if let Some(setting) = found {
            named = std::slice::from_ref(setting);
            // The error names the setting, so it does not have to show the offset.
            status.offset = None;
        }
    }
    let texts: Vec<_> = named.iter().map(ToString::to_string).collect();
    check(&format!("set {}", texts.join(" ")), status)
}

/// The index of the setting whose attribute contains this offset of the request. `ends` has the end
/// of each attribute in the payload.
fn setting_at(ends: &[usize], offset: Option<u32>) -> Option<usize> {
    let offset = usize::try_from(offset?).ok()?;
    let offset = offset.checked_sub(HEADER_LEN)?;
    ends.iter().position(|&end| offset < end)
}

/// Turns a refusal, or a missing answer, into an error with advice.
fn check(operation: &str, status: Option<Status>) -> Result<()> {
    let operation = operation.to_owned();
    let Some(status) = status else {
        return Err(knetlink::Error::Unanswered { operation }.into());
    };
    let Some(errno) = status.errno else {
        return Ok(());
    };
    let refused = knetlink::Error::Refused {
        operation,
        status,
        fix: None,
    };
    let refused = match errno {
        Errno::EPERM => refused.with_fix(
            "it needs CAP_NET_ADMIN in the user namespace that owns this network namespace: \
             run as root",
        ),
        Errno::EAGAIN | Errno::EBUSY => refused.with_fix("the module is busy: try again"),
        Errno::E2BIG => {
            refused.with_fix("remove some hooks from this hook point: nft list hooks shows them")
        }
        Errno::ENOMEM => refused.with_fix("the kernel is short of memory: try again"),
        Errno::EOPNOTSUPP => {
            refused.with_fix("the loaded module does not know this request: update the module")
        }
        _ => refused,
    };
    Err(refused.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(errno: Errno, offset: Option<u32>) -> Status {
        Status {
            errno: Some(errno),
            request: protocol::MSG_CONFIG_SET,
            text: Some("no".to_owned()),
            offset,
        }
    }

    #[test]
    fn offsets_lead_to_the_setting_around_them() {
        // In the request, queue=5 takes bytes 16 to 23, and ipv4-types=all takes bytes 24 to 63.
        // `ends` counts from the end of the header, which has 16 bytes.
        let ends = [8, 48];
        for (offset, index) in [
            (0, None),
            (15, None),
            (16, Some(0)),
            (20, Some(0)),
            (23, Some(0)),
            (24, Some(1)),
            (28, Some(1)),
            (63, Some(1)),
            (64, None),
            (u32::MAX, None),
        ] {
            assert_eq!(setting_at(&ends, Some(offset)), index, "{offset}");
        }
        assert_eq!(setting_at(&ends, None), None);
    }

    #[test]
    fn refused_changes_name_the_setting_that_the_kernel_points_at() {
        let settings = ["queue=5", "ipv4-types=8"].map(|text| text.parse().unwrap());
        let message = |offset| {
            let status = refusal(Errno::ERANGE, offset);
            let refused = check_change(&settings, &[8, 48], Some(status));
            refused.unwrap_err().to_string()
        };
        let erange = "ERANGE: Math result not representable (kernel: no)";
        // In the first four refusals, the offset points at the set in the nest, at the nest, at the
        // other attribute, and at no attribute. The fifth refusal has no offset.
        assert_eq!(message(Some(28)), format!("set ipv4-types=8: {erange}"));
        assert_eq!(message(Some(24)), format!("set ipv4-types=8: {erange}"));
        assert_eq!(message(Some(16)), format!("set queue=5: {erange}"));
        assert_eq!(
            message(Some(4)),
            format!("set queue=5 ipv4-types=8: {erange} (at byte 4 of the request)")
        );
        assert_eq!(message(None), format!("set queue=5 ipv4-types=8: {erange}"));
    }

    #[test]
    fn refusals_come_with_advice() {
        let refused = |errno| check("set queue=1", Some(refusal(errno, None))).unwrap_err();
        assert_eq!(
            refused(Errno::EPERM).to_string(),
            "set queue=1: EPERM: Operation not permitted (kernel: no); it needs CAP_NET_ADMIN in \
             the user namespace that owns this network namespace: run as root"
        );
        for errno in [Errno::EAGAIN, Errno::EBUSY, Errno::ENOMEM] {
            let busy = refused(errno);
            assert!(busy.to_string().ends_with("try again"), "{busy}");
            assert!(!busy.is_negative_answer());
        }
        let silent = check("set queue=1", None).unwrap_err();
        assert!(silent.is_negative_answer());
    }
}
