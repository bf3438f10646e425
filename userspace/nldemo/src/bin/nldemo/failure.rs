// SPDX-License-Identifier: GPL-2.0

//! The reasons of failures, and their exit statuses.

use std::fmt;
use std::io;

/// The reason of a failure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Peer(#[from] nldemo::Error),
    #[error(transparent)]
    Netlink(#[from] knetlink::Error),
    #[error(transparent)]
    Queue(#[from] nfnetlink_queue::Error),
    #[error(transparent)]
    Filter(#[from] sockfilter::Error),
    #[error(transparent)]
    System(#[from] linux_names::Error),
    #[error("{}", linux_names::Error::io("write to standard output", .0))]
    Output(#[from] io::Error),
    /// The command worked, but its result is negative. For example, no socket matched.
    #[error("{0}")]
    Negative(String),
    /// Each argument is valid by itself, but the arguments contradict each other.
    #[error("{0}")]
    Usage(String),
}

impl Failure {
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::Usage(message.to_string())
    }

    /// Whether a write to standard output failed because its reader has closed the pipe.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Negative(_) => 1,
            Self::Peer(error) if error.is_negative_answer() => 1,
            // An error about missing replies means that the result of the command is negative.
            Self::Netlink(error) | Self::Queue(nfnetlink_queue::Error::Netlink(error))
                if matches!(error, knetlink::Error::Unanswered { .. }) =>
            {
                1
            }
            _ => 2,
        }
    }
}
