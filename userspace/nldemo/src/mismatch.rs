// SPDX-License-Identifier: GPL-2.0

//! How an echo can be wrong.

/// How a message from the kernel differs from the expected reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// Nothing with that sequence number is outstanding.
    #[error("no message with that number was sent, or its reply came before")]
    Unexpected,
    /// Wrong message type.
    #[error("reply has type {received}, expected {expected}")]
    Type {
        /// Type that a true echo has.
        expected: u16,
        /// Type in the reply.
        received: u16,
    },
    /// The header does not name this socket.
    #[error("reply names portid {received}, this socket is {expected}")]
    Portid {
        /// This socket's portid.
        expected: u32,
        /// Portid in the reply.
        received: u32,
    },
    /// Payload longer or shorter than sent.
    #[error("reply has {received} bytes of payload, {expected} were sent")]
    Length {
        /// Bytes sent.
        expected: usize,
        /// Bytes received.
        received: usize,
    },
    /// Payload altered.
    #[error("payload differs at byte {offset}: sent {expected:#04x}, received {received:#04x}")]
    Byte {
        /// Where the first difference is.
        offset: usize,
        /// Byte sent.
        expected: u8,
        /// Byte received.
        received: u8,
    },
    /// An acknowledgement without `NLM_F_ACK`, twice, or ahead of its reply.
    #[error("acknowledgement that was not asked for, or ahead of its reply")]
    Acknowledgement,
}
