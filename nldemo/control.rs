// SPDX-License-Identifier: GPL-2.0

//! The configuration of a network namespace at work.

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
    /// Held while the configuration changes and while an event is sent, so that the events' order
    /// is that of what they tell.
    #[pin]
    pub(super) numbers: Mutex<Numbers>,
}

#[derive(Default)]
pub(super) struct Numbers {
    /// The latest event.
    pub(super) event: u32,
    /// How often the configuration was changed.
    pub(super) generation: u32,
}

impl Numbers {
    /// The number of an event that happens now.
    pub(super) fn next_event(&mut self) -> u32 {
        self.event = self.event.wrapping_add(1);
        self.event
    }
}

impl Control {
    /// Begins with `config`.
    pub(crate) fn new(config: Config) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            config: Published::new(config)?,
            numbers <- new_mutex!(Numbers::default(), "Control::numbers"),
        })
    }

    /// The configuration of now, to look at under RCU.
    #[inline]
    pub(crate) fn read<'a>(&'a self, section: &'a ReadSide) -> &'a Config {
        self.config.read(section)
    }

    /// A copy of the configuration of now. Context: any.
    pub(crate) fn config(&self) -> Config {
        ReadSide::with(|section| *self.read(section))
    }

    /// Replaces the configuration. The caller must hold the lock of `numbers`. Context: any.
    pub(super) fn publish(&self, config: Prepared<Config>) {
        self.config.publish(config);
    }

    /// A number that changes with the configuration. Context: process, may sleep.
    pub(crate) fn generation(&self) -> u32 {
        self.numbers.lock().generation
    }
}
