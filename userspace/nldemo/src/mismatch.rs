// SPDX-License-Identifier: GPL-2.0

//! The ways in which a message from the kernel can differ from the expected reply.

/// A difference between a message from the kernel and the expected reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// No reply with this sequence number is expected.
    #[error("no message with this number was sent, or its reply came before")]
    Unexpected,
    /// The reply has the wrong message type.
    #[error("reply has type {received}, expected {expected}")]
    Type {
        /// Type of the expected reply.
        expected: u16,
        /// Type in the reply.
        received: u16,
    },
    /// The header has the portid of another socket.
    #[error("reply has portid {received}, this socket has portid {expected}")]
    Portid {
        /// This socket's portid.
        expected: u32,
        /// Portid in the reply.
        received: u32,
    },
    /// The payload of the reply is longer or shorter than the payload that was sent.
    #[error("reply has {received} bytes of payload, {expected} were sent")]
    Length {
        /// Length of the payload that was sent.
        expected: usize,
        /// Length of the payload that was received.
        received: usize,
    },
    /// A byte in the payload of the reply differs from the byte that was sent.
    #[error("payload differs at byte {offset}: sent {expected:#04x}, received {received:#04x}")]
    Byte {
        /// Offset of the first difference.
        offset: usize,
        /// Byte sent.
        expected: u8,
        /// Byte received.
        received: u8,
    },
    /// The client did not ask for this acknowledgement (`NLM_F_ACK`), or it came twice, or it came
    /// before its reply.
    #[error("the acknowledgement was not asked for, or came before its reply")]
    Acknowledgement,
}
