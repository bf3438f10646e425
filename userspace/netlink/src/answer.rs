// SPDX-License-Identifier: MIT OR Apache-2.0

//! The answer to one request: zero or more messages, then a status or the end of a dump.

use netlink_packet_core::NLM_F_DUMP_INTR;

use crate::error::Error;
use crate::error::Result;
use crate::message::Message;
use crate::message::Messages;
use crate::status::Status;

/// Reads the datagrams of the answer to one request, and finds the end of the answer.
pub struct Answer {
    kind: u16,
    sequence: u32,
    interrupted: bool,
}

impl Answer {
    /// Expects the answer to the request that has the type `kind` and this sequence number.
    #[must_use]
    pub fn new(kind: u16, sequence: u32) -> Self {
        Self {
            kind,
            sequence,
            interrupted: false,
        }
    }

    /// Reads a datagram. Returns the end of the answer if the datagram contains it. `other` gets
    /// every other message, whether it belongs to this answer or not.
    ///
    /// If the data changed while the kernel dumped them, the answer ends with
    /// [`Error::Interrupted`].
    pub fn read(
        &mut self,
        datagram: &[u8],
        mut other: impl FnMut(&Message<'_>) -> Result<()>,
    ) -> Result<Option<Status>> {
        let mut end = None;
        for message in Messages::new(datagram) {
            let message = message?;
            let ours = message.sequence == self.sequence;
            self.interrupted |= ours && message.flags & NLM_F_DUMP_INTR != 0;
            match Status::ending(&message, self.kind)? {
                // The sequence number is not enough, because an earlier request of another type can
                // have had this number, too.
                Some(status) if ours && status.request == self.kind => end = Some(status),
                _ => other(&message)?,
            }
        }
        if self.interrupted && end.is_some() {
            return Err(Error::Interrupted {
                operation: "netlink dump".to_owned(),
            });
        }
        Ok(end)
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::NLM_F_MULTIPART;
    use netlink_packet_core::NLMSG_DONE;
    use netlink_packet_core::NLMSG_ERROR;
    use nix::errno::Errno;

    use super::*;

    const REQUEST: u16 = 21;
    const REPLY: u16 = 22;

    fn append(datagram: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32, payload: &[u8]) {
        Message {
            kind,
            flags,
            sequence,
            portid: 1,
            payload,
        }
        .append_to(datagram);
    }

    fn status(code: i32, request: u16) -> Vec<u8> {
        let mut payload = code.to_ne_bytes().to_vec();
        append(&mut payload, request, 0, 7, &[]);
        payload
    }

    fn read(answer: &mut Answer, datagram: &[u8]) -> (Result<Option<Status>>, Vec<(u16, u32)>) {
        let mut others = Vec::new();
        let end = answer.read(datagram, |message| {
            others.push((message.kind, message.sequence));
            Ok(())
        });
        (end, others)
    }

    #[test]
    fn dump_ends_in_the_datagram_of_its_last_part() {
        let mut answer = Answer::new(REQUEST, 7);
        let mut datagram = Vec::new();
        append(&mut datagram, REPLY, NLM_F_MULTIPART, 7, b"one");
        let (end, others) = read(&mut answer, &datagram);
        assert_eq!((end.unwrap(), others), (None, vec![(REPLY, 7)]));
        append(&mut datagram, NLMSG_DONE, NLM_F_MULTIPART, 7, &[0; 4]);
        append(&mut datagram, 20, 0, 0, b"event");
        let (end, others) = read(&mut answer, &datagram);
        assert_eq!(end.unwrap().unwrap().errno, None);
        assert_eq!(others, [(REPLY, 7), (20, 0)]);
    }

    #[test]
    fn statuses_of_other_requests_are_not_the_end() {
        let mut datagram = Vec::new();
        append(&mut datagram, NLMSG_ERROR, 0, 7, &status(-libc::ENOENT, 5));
        append(&mut datagram, NLMSG_ERROR, 0, 6, &status(0, REQUEST));
        append(&mut datagram, NLMSG_DONE, 0, 6, &[]);
        let (end, others) = read(&mut Answer::new(REQUEST, 7), &datagram);
        assert_eq!(end.unwrap(), None);
        assert_eq!(
            others,
            [(NLMSG_ERROR, 7), (NLMSG_ERROR, 6), (NLMSG_DONE, 6)]
        );

        append(
            &mut datagram,
            NLMSG_ERROR,
            0,
            7,
            &status(-libc::EPERM, REQUEST),
        );
        let (end, _) = read(&mut Answer::new(REQUEST, 7), &datagram);
        assert_eq!(end.unwrap().unwrap().errno, Some(Errno::EPERM));
    }

    #[test]
    fn inconsistent_dump_is_read_to_its_end_and_an_error() {
        for (part, done) in [(NLM_F_DUMP_INTR, 0), (0, NLM_F_DUMP_INTR)] {
            let mut answer = Answer::new(REQUEST, 7);
            let mut datagram = Vec::new();
            append(&mut datagram, REPLY, part, 7, b"");
            assert_eq!(read(&mut answer, &datagram).0.unwrap(), None);
            let mut datagram = Vec::new();
            append(&mut datagram, NLMSG_DONE, done, 7, &[0; 4]);
            let end = read(&mut answer, &datagram).0;
            assert!(matches!(end, Err(Error::Interrupted { .. })), "{end:?}");
        }
    }
}
