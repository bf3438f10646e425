// SPDX-License-Identifier: GPL-2.0

//! Checks the kernel's answers to one batch of messages. This file uses no socket.

use knetlink::Message;
use knetlink::Status;

use crate::error::Error;
use crate::error::Result;
use crate::mismatch::Mismatch;

/// The answers that one message still waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Reply,
    Acknowledgement,
    Nothing,
}

/// The properties of a correct answer to a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expectation {
    pub(super) reply_kind: u16,
    pub(super) portid: u32,
    pub(super) acknowledged: bool,
}

/// One batch of messages that was sent, and the answers that it still waits for.
pub(super) struct Exchange<'a> {
    expectation: Expectation,
    first_sequence: u32,
    messages: Vec<(&'a [u8], Awaited)>,
    outstanding: usize,
}

impl<'a> Exchange<'a> {
    /// Begins the checks for a batch with these payloads. The sequence numbers are consecutive.
    pub(super) fn new(
        expectation: Expectation,
        first_sequence: u32,
        payloads: impl Iterator<Item = &'a [u8]>,
    ) -> Self {
        let messages: Vec<_> = payloads.map(|sent| (sent, Awaited::Reply)).collect();
        Self {
            expectation,
            first_sequence,
            outstanding: messages.len(),
            messages,
        }
    }

    /// The number of messages that wait for an answer.
    pub(super) fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Checks one message from the kernel. Returns true if the message is a reply, and false if it
    /// is an acknowledgement.
    pub(super) fn accept(&mut self, message: &Message<'_>) -> Result<bool> {
        let sequence = message.sequence;
        let wrong = |mismatch| Error::Mismatch { sequence, mismatch };
        let index = sequence.wrapping_sub(self.first_sequence) as usize;
        let Some((sent, awaited)) = self.messages.get_mut(index) else {
            return Err(wrong(Mismatch::Unexpected));
        };
        if let Some(status) = Status::parse(message)? {
            if status.errno.is_some() {
                let refused = knetlink::Error::Refused {
                    operation: format!("echo message with sequence number {sequence}"),
                    status,
                    fix: None,
                };
                return Err(refused.into());
            }
            if *awaited != Awaited::Acknowledgement {
                return Err(wrong(Mismatch::Acknowledgement));
            }
            *awaited = Awaited::Nothing;
            self.outstanding -= 1;
            return Ok(false);
        }
        if *awaited != Awaited::Reply {
            return Err(wrong(Mismatch::Unexpected));
        }
        compare(self.expectation, sent, message).map_err(wrong)?;
        if self.expectation.acknowledged {
            *awaited = Awaited::Acknowledgement;
        } else {
            *awaited = Awaited::Nothing;
            self.outstanding -= 1;
        }
        Ok(true)
    }
}

fn compare(
    expectation: Expectation,
    sent: &[u8],
    reply: &Message<'_>,
) -> std::result::Result<(), Mismatch> {
    if reply.kind != expectation.reply_kind {
        return Err(Mismatch::Type {
            expected: expectation.reply_kind,
            received: reply.kind,
        });
    }
    if reply.portid != expectation.portid {
        return Err(Mismatch::Portid {
            expected: expectation.portid,
            received: reply.portid,
        });
    }
    if reply.payload.len() != sent.len() {
        return Err(Mismatch::Length {
            expected: sent.len(),
            received: reply.payload.len(),
        });
    }
    // This function first compares the whole payload. It searches for the first different byte only
    // if the payload differs, because the search is slow.
    if reply.payload != sent {
        let differs = |(offset, (expected, received)): (usize, (&u8, &u8))| {
            (expected != received).then_some(Mismatch::Byte {
                offset,
                expected: *expected,
                received: *received,
            })
        };
        let mut bytes = sent.iter().zip(reply.payload).enumerate();
        return bytes.find_map(differs).map_or(Ok(()), Err);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::NLMSG_ERROR;
    use nix::errno::Errno;

    use super::*;

    const OURS: u32 = 4242;

    fn exchange(acknowledged: bool) -> Exchange<'static> {
        let expectation = Expectation {
            reply_kind: 16,
            portid: OURS,
            acknowledged,
        };
        // The sequence numbers wrap around in this batch: the third message has number 0.
        let payloads = [&b"one"[..], b"two", b"three"];
        Exchange::new(expectation, u32::MAX - 1, payloads.into_iter())
    }

    fn reply(sequence: u32, payload: &[u8]) -> Message<'_> {
        Message {
            kind: 16,
            flags: 0,
            sequence,
            portid: OURS,
            payload,
        }
    }

    fn status_payload(code: i32) -> Vec<u8> {
        let mut payload = code.to_ne_bytes().to_vec();
        reply(0, b"").append_to(&mut payload);
        payload
    }

    fn mismatch(result: Result<bool>) -> Mismatch {
        match result {
            Err(Error::Mismatch { mismatch, .. }) => mismatch,
            other => panic!("not a mismatch: {other:?}"),
        }
    }

    #[test]
    fn true_echoes_complete_in_any_order() {
        let mut exchange = exchange(false);
        assert!(exchange.accept(&reply(0, b"three")).unwrap());
        assert!(exchange.accept(&reply(u32::MAX - 1, b"one")).unwrap());
        assert_eq!(exchange.outstanding(), 1);
        assert!(exchange.accept(&reply(u32::MAX, b"two")).unwrap());
        assert_eq!(exchange.outstanding(), 0);
    }

    #[test]
    fn acknowledgement_completes_a_message_that_asked_for_it() {
        let mut exchange = exchange(true);
        let payload = status_payload(0);
        let mut ack = reply(u32::MAX, &payload);
        ack.kind = NLMSG_ERROR;
        assert_eq!(mismatch(exchange.accept(&ack)), Mismatch::Acknowledgement);
        exchange.accept(&reply(u32::MAX, b"two")).unwrap();
        assert_eq!(exchange.outstanding(), 3);
        assert!(!exchange.accept(&ack).unwrap());
        assert_eq!(exchange.outstanding(), 2);
        assert_eq!(mismatch(exchange.accept(&ack)), Mismatch::Acknowledgement);
    }

    #[test]
    fn unrequested_acknowledgement_is_a_mismatch() {
        let payload = status_payload(0);
        let mut ack = reply(u32::MAX, &payload);
        ack.kind = NLMSG_ERROR;
        assert_eq!(
            mismatch(exchange(false).accept(&ack)),
            Mismatch::Acknowledgement
        );
    }

    #[test]
    fn kernel_error_is_passed_on() {
        let payload = status_payload(-libc::EOPNOTSUPP);
        let mut refusal = reply(u32::MAX, &payload);
        refusal.kind = NLMSG_ERROR;
        let error = exchange(false).accept(&refusal).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::EOPNOTSUPP));
        assert!(!error.is_negative_answer());
    }

    #[test]
    fn wrong_sequence_number_is_a_mismatch() {
        for sequence in [1, 77, u32::MAX - 2] {
            let result = exchange(false).accept(&reply(sequence, b"one"));
            assert_eq!(mismatch(result), Mismatch::Unexpected);
        }
    }

    #[test]
    fn second_reply_is_a_mismatch() {
        let mut exchange = exchange(false);
        exchange.accept(&reply(0, b"three")).unwrap();
        let again = exchange.accept(&reply(0, b"three"));
        assert_eq!(mismatch(again), Mismatch::Unexpected);
    }

    #[test]
    fn wrong_type_portid_length_and_byte_are_mismatches() {
        let mut wrong_type = reply(0, b"three");
        wrong_type.kind = 3;
        let mut wrong_portid = reply(0, b"three");
        wrong_portid.portid = 1;
        for (message, expected) in [
            (
                wrong_type,
                Mismatch::Type {
                    expected: 16,
                    received: 3,
                },
            ),
            (
                wrong_portid,
                Mismatch::Portid {
                    expected: OURS,
                    received: 1,
                },
            ),
            (
                reply(0, b"thre"),
                Mismatch::Length {
                    expected: 5,
                    received: 4,
                },
            ),
            (
                reply(0, b"thrEe"),
                Mismatch::Byte {
                    offset: 3,
                    expected: b'e',
                    received: b'E',
                },
            ),
        ] {
            assert_eq!(mismatch(exchange(false).accept(&message)), expected);
        }
    }
}
