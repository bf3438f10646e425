// SPDX-License-Identifier: GPL-2.0

//! The current configuration of a network namespace.

use kernel::{
    prelude::*,
    sync::{
        new_mutex,
        Mutex, //
    }, //
};

use super::config::Config;

use crate::net::rcu::{
    Prepared,
    Published,
    ReadSide, //
};

/// The configuration of a network namespace, and the number of its latest event.
#[pin_data]
pub(crate) struct Control {
    config: Published<Config>,
    /// Locked while the configuration changes and while an event is sent, so that events are sent
    /// in the order of the changes.
    #[pin]
    pub(super) numbers: Mutex<Numbers>,
}

#[derive(Default)]
pub(super) struct Numbers {
    /// The number of the latest event.
    pub(super) event: u32,
    /// The number of changes of the configuration.
    pub(super) generation: u32,
}

impl Numbers {
    /// Counts a new event, and returns its number.
    pub(super) fn next_event(&mut self) -> u32 {
        self.event = self.event.wrapping_add(1);
        self.event
    }
}

impl Control {
    /// Starts with `config`.
    pub(crate) fn new(config: Config) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            config: Published::new(config)?,
            numbers <- new_mutex!(Numbers::default(), "Control::numbers"),
        })
    }

    /// The current configuration, for the duration of an RCU section.
    #[inline]
    pub(crate) fn read<'a>(&'a self, section: &'a ReadSide) -> &'a Config {
        self.config.read(section)
    }

    /// A copy of the current configuration. Context: any.
    pub(crate) fn config(&self) -> Config {
        ReadSide::with(|section| *self.read(section))
    }

    /// Replaces the configuration. The caller must hold the mutex `numbers`. Context: process.
    pub(super) fn publish(&self, config: Prepared<Config>) {
        self.config.publish(config);
    }

    /// A number that changes whenever the configuration changes. Context: process, may sleep.
    pub(crate) fn generation(&self) -> u32 {
        self.numbers.lock().generation
    }
}
