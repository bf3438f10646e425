// SPDX-License-Identifier: MIT OR Apache-2.0

//! Decisions about packets, and the messages that carry them.

use std::fmt;
use std::num::NonZero;

use knetlink::Message;
use knetlink::attr;
use linux_names::constant::half;
use netlink_packet_core::NLM_F_REQUEST;

use crate::wire::MSG_VERDICT;
use crate::wire::MSG_VERDICT_BATCH;
use crate::wire::nfgenmsg;

const NFQA_VERDICT_HDR: u16 = half(libc::NFQA_VERDICT_HDR);
const NFQA_MARK: u16 = half(libc::NFQA_MARK);
const NFQA_PAYLOAD: u16 = half(libc::NFQA_PAYLOAD);

/// The next step of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The packet continues on its way.
    Accept,
    /// The packet is dropped.
    Drop,
    /// The hook that queued the packet is called for the packet again.
    Repeat,
    /// The packet waits in another queue.
    Queue {
        /// Number of that queue.
        number: u16,
        /// Whether the packet continues on its way if the other queue has no consumer. Otherwise
        /// the packet is dropped.
        bypass: bool,
    },
}

impl Verdict {
    /// The `NF_*` number, with its arguments in the upper bits.
    fn code(self) -> u32 {
        match self {
            Self::Accept => libc::NF_ACCEPT.unsigned_abs(),
            Self::Drop => libc::NF_DROP.unsigned_abs(),
            Self::Repeat => libc::NF_REPEAT.unsigned_abs(),
            Self::Queue { number, bypass } => {
                let bypass = if bypass {
                    libc::NF_VERDICT_FLAG_QUEUE_BYPASS.unsigned_abs()
                } else {
                    0
                };
                libc::NF_QUEUE.unsigned_abs() | bypass | (u32::from(number) << 16)
            }
        }
    }

    /// The name of the verdict, without its arguments.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
            Self::Repeat => "repeat",
            Self::Queue { .. } => "queue",
        }
    }
}

/// A verdict, and the mark that the packet gets with it.
///
/// A repeated packet always gets a mark. The hook that queued the packet must recognize the packet
/// by this mark (the parameter `skip_mark` of the module `rust_nldemo`). Otherwise the hook would
/// queue the packet again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    verdict: Verdict,
    mark: Option<u32>,
}

impl Decision {
    /// The packet continues on its way.
    pub const ACCEPT: Self = Self::new(Verdict::Accept);
    /// The packet is dropped.
    pub const DROP: Self = Self::new(Verdict::Drop);

    const fn new(verdict: Verdict) -> Self {
        Self {
            verdict,
            mark: None,
        }
    }

    /// The hook that queued the packet is called for the packet again. The packet gets a mark, so
    /// that the hook does not queue it again.
    #[must_use]
    pub const fn repeat(mark: NonZero<u32>) -> Self {
        Self {
            verdict: Verdict::Repeat,
            mark: Some(mark.get()),
        }
    }

    /// The packet waits in another queue. If that queue has no consumer, `bypass` lets the packet
    /// continue on its way. Without `bypass` the packet is dropped.
    #[must_use]
    pub const fn queue(number: u16, bypass: bool) -> Self {
        Self::new(Verdict::Queue { number, bypass })
    }

    /// The same decision, but the packet gets this mark. A repeated packet is an exception: it
    /// keeps the mark by which its hook recognizes it.
    #[must_use]
    pub const fn with_mark(self, mark: u32) -> Self {
        match self.verdict {
            Verdict::Repeat => self,
            verdict => Self {
                verdict,
                mark: Some(mark),
            },
        }
    }

    /// The next step of the packet.
    #[must_use]
    pub const fn verdict(self) -> Verdict {
        self.verdict
    }

    /// The mark that the packet gets; `None` if the packet keeps the mark that it has.
    #[must_use]
    pub const fn mark(self) -> Option<u32> {
        self.mark
    }
}

/// The text of the decision in the policy language.
impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.verdict, self.mark) {
            (Verdict::Repeat, mark) => {
                return write!(f, "repeat mark={:#x}", mark.unwrap_or_default());
            }
            (_, Some(mark)) => write!(f, "set mark={mark:#x} ")?,
            _ => {}
        }
        f.write_str(self.verdict.name())?;
        if let Verdict::Queue { number, bypass } = self.verdict {
            write!(f, " {number}{}", if bypass { " bypass" } else { "" })?;
        }
        Ok(())
    }
}

/// Appends the message that decides packet `id` of `queue`. If there is `content`, the message also
/// replaces the content of the packet.
///
/// The message asks for no acknowledgement. So the kernel answers only if it refuses the message.
///
/// # Panics
///
/// Panics if the content does not fit an attribute.
#[inline]
pub(crate) fn append_verdict(
    buffer: &mut Vec<u8>,
    queue: u16,
    id: u32,
    decision: Decision,
    content: Option<&[u8]>,
) {
    append(buffer, MSG_VERDICT, queue, id, decision, content);
}

/// Appends the message that decides all packets of `queue` up to `last`, including it.
pub(crate) fn append_batch(buffer: &mut Vec<u8>, queue: u16, last: u32, decision: Decision) {
    append(buffer, MSG_VERDICT_BATCH, queue, last, decision, None);
}

#[inline]
fn append(
    buffer: &mut Vec<u8>,
    kind: u16,
    queue: u16,
    id: u32,
    decision: Decision,
    content: Option<&[u8]>,
) {
    let mut header = [0; 8];
    header[..4].copy_from_slice(&decision.verdict.code().to_be_bytes());
    header[4..].copy_from_slice(&id.to_be_bytes());
    let message = Message {
        kind,
        flags: NLM_F_REQUEST,
        sequence: id,
        portid: 0,
        payload: &nfgenmsg(queue),
    };
    message.append_with(buffer, |buffer| {
        attr::append(buffer, NFQA_VERDICT_HDR, header);
        if let Some(mark) = decision.mark {
            attr::append(buffer, NFQA_MARK, mark.to_be_bytes());
        }
        if let Some(content) = content {
            attr::append_slice(buffer, NFQA_PAYLOAD, content);
        }
    });
}

#[cfg(test)]
mod tests {
    use knetlink::Messages;
    use knetlink::attr::Attributes;

    use super::*;

    fn only_message(buffer: &[u8]) -> (u16, u32, Vec<(u16, Vec<u8>)>) {
        let message = Messages::new(buffer).next().unwrap().unwrap();
        assert_eq!(message.flags, NLM_F_REQUEST);
        assert_eq!(message.payload[..4], [0, 0, 1, 2]);
        let attributes = Attributes::new(&message.payload[4..])
            .map(|attribute| attribute.map(|a| (a.kind, a.payload.to_vec())).unwrap())
            .collect();
        (message.kind, message.sequence, attributes)
    }

    #[test]
    fn verdict_message_is_what_the_kernel_expects() {
        let mark = NonZero::new(0x0102_0304).unwrap();
        for (decision, verdict, mark) in [
            (Decision::ACCEPT, [0, 0, 0, 1], None),
            (Decision::DROP, [0, 0, 0, 0], None),
            (
                Decision::DROP.with_mark(7),
                [0, 0, 0, 0],
                Some([0, 0, 0, 7]),
            ),
            (Decision::repeat(mark), [0, 0, 0, 4], Some([1, 2, 3, 4])),
            (
                Decision::repeat(mark).with_mark(0),
                [0, 0, 0, 4],
                Some([1, 2, 3, 4]),
            ),
            (Decision::queue(0x0506, false), [5, 6, 0, 3], None),
            (Decision::queue(9, true), [0, 9, 0x80, 3], None),
        ] {
            let mut buffer = Vec::new();
            append_verdict(&mut buffer, 0x0102, 0x0a0b_0c0d, decision, None);
            let mut expected = vec![(2, [&verdict[..], &[10, 11, 12, 13]].concat())];
            expected.extend(mark.map(|mark| (3, mark.to_vec())));
            assert_eq!(only_message(&buffer), (0x0301, 0x0a0b_0c0d, expected));
        }
    }

    #[test]
    fn batch_and_content_messages_are_what_the_kernel_expects() {
        let mut buffer = Vec::new();
        append_batch(&mut buffer, 0x0102, 9, Decision::ACCEPT);
        let header = vec![0, 0, 0, 1, 0, 0, 0, 9];
        assert_eq!(
            only_message(&buffer),
            (0x0303, 9, vec![(2, header.clone())])
        );
        buffer.clear();
        append_verdict(&mut buffer, 0x0102, 9, Decision::ACCEPT, Some(b"12345"));
        let content = (10, b"12345".to_vec());
        assert_eq!(
            only_message(&buffer),
            (0x0301, 9, vec![(2, header), content])
        );
    }

    #[test]
    fn decisions_are_written_as_in_a_policy() {
        for (decision, text) in [
            (Decision::ACCEPT.with_mark(16), "set mark=0x10 accept"),
            (Decision::repeat(NonZero::<u32>::MIN), "repeat mark=0x1"),
            (Decision::queue(5, true), "queue 5 bypass"),
        ] {
            assert_eq!(decision.to_string(), text);
        }
    }
}
