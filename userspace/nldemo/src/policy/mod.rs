// SPDX-License-Identifier: GPL-2.0

//! The rules that decide about packets.
//!
//! A policy is a list of rules with `;` between them. A rule has any number of conditions, and an
//! action. A rule matches a packet if all its conditions are true for the packet. The first rule
//! that matches decides about the packet. If no rule matches, the packet is accepted.
//!
//! ```
//! use nldemo::policy::Policy;
//!
//! let policy: Policy = "echo-request size>56 drop; from 10.0.0.0/8 accept; \
//!                       rate 100/s accept; drop".parse()?;
//! let error = "size>many drop".parse::<Policy>().unwrap_err();
//! assert!(error.to_string().starts_with("column 6: expected a number"));
//! # Ok::<(), nldemo::policy::ParsePolicyError>(())
//! ```

mod condition;
mod link;
mod parse;
mod rate;
mod rules;

pub use parse::ParsePolicyError;
pub use rules::NeverHolds;
pub use rules::Policy;
