// SPDX-License-Identifier: GPL-2.0

//! Receives events, and finds out how many events were missed.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use knetlink::Messages;
use knetlink::RECEIVE_LEN;
use knetlink::Wake;
use sockfilter::SocketFilter;

use super::client::Control;
use super::config::Config;
use super::event::Event;
use super::event::EventKind;
use super::filter::events;
use super::setting::Change;
use crate::error::Result;
use crate::protocol::GROUP_EVENTS;

/// A result of [`Monitor::next`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Events were lost.
    Lost {
        /// The number of lost events.
        events: u32,
    },
    /// Events did not pass the filter.
    Filtered {
        /// The number of events that did not pass.
        events: u32,
    },
    /// The configuration was changed. If the event about the change was lost, the monitor has read
    /// the configuration from the kernel. Then the number in `config` is the number of the latest
    /// lost event.
    Config {
        /// The new configuration, with the number of the event.
        config: Config,
        /// The differences from the last known configuration.
        changes: Vec<Change>,
    },
    /// A network namespace was deleted.
    NetnsGone {
        /// The number of the event.
        number: u32,
        /// The cookie that `SO_NETNS_COOKIE` returned in the deleted namespace.
        cookie: u64,
    },
}

/// A listener for the events of a network namespace.
pub struct Monitor {
    // Rust drops fields in this order, so the filter is detached before the socket is closed.
    _filter: Option<SocketFilter>,
    control: Control,
    follower: Follower,
    buffer: Vec<u8>,
}

impl Monitor {
    /// Joins the group of events, and reads the configuration. The monitor reports the changes from
    /// this configuration.
    pub fn open(protocol: u8) -> Result<Self> {
        Self::start(Control::open(protocol)?, None, &EventKind::ALL)
    }

    /// Does the same as [`open`](Self::open), but only for events of the given `kinds`. The kernel
    /// drops other events by a filter. To load the filter, the process needs `CAP_BPF`.
    pub fn open_filtered(protocol: u8, kinds: &[EventKind]) -> Result<Self> {
        let control = Control::open(protocol)?;
        let mut filter = events(kinds)?;
        filter.attach(&control.socket)?;
        Self::start(control, Some(filter), kinds)
    }

    fn start(
        mut control: Control,
        filter: Option<SocketFilter>,
        kinds: &[EventKind],
    ) -> Result<Self> {
        // The monitor must join the group before it asks for the configuration. Otherwise it would
        // miss the events between the two calls.
        control.socket.join(GROUP_EVENTS)?;
        let mut early = Vec::new();
        let known = control.config_among(|message| {
            early.extend(Event::parse(message)?);
            Ok(())
        })?;
        let mut follower = Follower {
            known,
            kinds: kinds.to_vec(),
            overrun: false,
            notices: VecDeque::new(),
        };
        for event in early {
            follower.follow(event);
        }
        Ok(Self {
            _filter: filter,
            control,
            follower,
            buffer: vec![0; RECEIVE_LEN],
        })
    }

    /// The portid of the monitor's socket.
    #[must_use]
    pub fn portid(&self) -> u32 {
        self.control.socket.portid()
    }

    /// The configuration as it was after the latest event that was received.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.follower.known
    }

    /// Waits for the next notice. Returns `None` if the deadline passes, or `stop` becomes
    /// readable, before there is a notice.
    pub fn next(
        &mut self,
        deadline: Option<Instant>,
        stop: Option<BorrowedFd<'_>>,
    ) -> Result<Option<Notice>> {
        loop {
            if let Some(notice) = self.follower.notices.pop_front() {
                return Ok(Some(notice));
            }
            match self.control.socket.receive(&mut self.buffer) {
                Ok(Some(datagram)) => {
                    for message in Messages::new(datagram) {
                        if let Some(event) = Event::parse(&message?)? {
                            self.follower.follow(event);
                        }
                    }
                }
                Ok(None) if self.follower.overrun => self.catch_up()?,
                Ok(None) => {
                    if self.control.socket.wait(deadline, stop)? != Wake::Readable {
                        return Ok(None);
                    }
                }
                // The monitor must read all messages from the socket before it asks for the
                // configuration. If the receive buffer were still full, the answer would be lost,
                // too. So the monitor only notes the overrun here.
                Err(knetlink::Error::Overrun { .. }) => self.follower.overrun = true,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// After an overrun, reads the configuration, and reports the lost events.
    fn catch_up(&mut self) -> Result<()> {
        let follower = &mut self.follower;
        let config = self.control.config_among(|message| {
            if let Some(event) = Event::parse(message)? {
                follower.follow(event);
            }
            Ok(())
        })?;
        follower.catch_up(config);
        Ok(())
    }
}

/// Follows the numbers of events, and finds missing numbers.
struct Follower {
    /// The last known configuration, from the latest event or from a request.
    known: Config,
    /// The kinds that pass the filter.
    kinds: Vec<EventKind>,
    /// Whether the receive buffer was full. Then the kernel lost events, and their number is
    /// unknown.
    overrun: bool,
    notices: VecDeque<Notice>,
}

impl Follower {
    fn follow(&mut self, event: Event) {
        let distance = self.distance(event.number());
        if distance == 0 {
            // The known configuration was read after this event, so it already has the change.
            return;
        }
        self.miss(distance - 1);
        match event {
            Event::Config(config) => self.learn(config),
            Event::NetnsGone { number, cookie } => {
                self.known.event = number;
                self.notices.push_back(Notice::NetnsGone { number, cookie });
            }
        }
    }

    /// Reports the lost events. If `config`, which the monitor read after an overrun, is newer than
    /// the known configuration, it becomes the known configuration.
    fn catch_up(&mut self, config: Config) {
        let distance = self.distance(config.event);
        self.miss(distance);
        self.overrun = false;
        if distance == 0 {
            return;
        }
        if self.hears(EventKind::Config) && !config.changes_since(&self.known).is_empty() {
            self.learn(config);
        } else {
            self.known = config;
        }
    }

    fn hears(&self, kind: EventKind) -> bool {
        self.kinds.contains(&kind)
    }

    /// The number of events from the last known event to the event with this number. 0 if this
    /// event is not newer than the last known event.
    fn distance(&self, number: u32) -> u32 {
        let distance = number.wrapping_sub(self.known.event);
        if distance > u32::MAX / 2 { 0 } else { distance }
    }

    /// Reports events that did not arrive. If all kinds pass the filter, or after an overrun, the
    /// kernel has lost these events. Otherwise the filter has dropped them.
    fn miss(&mut self, events: u32) {
        if events > 0 {
            let all = EventKind::ALL.into_iter().all(|kind| self.hears(kind));
            self.notices.push_back(if all || self.overrun {
                Notice::Lost { events }
            } else {
                Notice::Filtered { events }
            });
        }
    }

    fn learn(&mut self, config: Config) {
        let changes = config.changes_since(&self.known);
        self.known = config;
        self.notices.push_back(Notice::Config { config, changes });
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::tests::defaults;
    use super::super::setting::Setting;
    use super::*;

    fn follower(event: u32) -> Follower {
        Follower {
            known: defaults(event),
            kinds: EventKind::ALL.to_vec(),
            overrun: false,
            notices: VecDeque::new(),
        }
    }

    fn queue(queue: u16, event: u32) -> Config {
        Config {
            queue,
            ..defaults(event)
        }
    }

    fn told(config: Config, changes: &[(u16, u16)]) -> Notice {
        let change = |&(from, to)| Change {
            from: Setting::Queue(from),
            to: Setting::Queue(to),
        };
        Notice::Config {
            config,
            changes: changes.iter().map(change).collect(),
        }
    }

    fn gone(number: u32) -> Event {
        Event::NetnsGone { number, cookie: 7 }
    }

    #[test]
    fn events_in_order_are_told_with_what_changed() {
        // After the largest number, the numbers begin again at 0.
        let mut follower = follower(u32::MAX - 1);
        follower.follow(Event::Config(queue(5, u32::MAX)));
        follower.follow(gone(0));
        follower.follow(Event::Config(queue(5, 1)));
        follower.follow(Event::Config(queue(6, 2)));
        let expected = [
            told(queue(5, u32::MAX), &[(0, 5)]),
            Notice::NetnsGone {
                number: 0,
                cookie: 7,
            },
            told(queue(5, 1), &[]),
            told(queue(6, 2), &[(5, 6)]),
        ];
        assert_eq!(follower.notices, expected);
    }

    #[test]
    fn gap_in_the_numbers_is_told_before_what_follows() {
        let mut follower = follower(u32::MAX);
        follower.follow(Event::Config(queue(5, 3)));
        let expected = [Notice::Lost { events: 3 }, told(queue(5, 3), &[(0, 5)])];
        assert_eq!(follower.notices, expected);
    }

    #[test]
    fn gap_is_what_the_filter_took_if_there_is_one() {
        let mut follower = follower(7);
        follower.kinds = vec![EventKind::Netns];
        follower.follow(gone(8));
        follower.follow(gone(11));
        let gone = |number| Notice::NetnsGone { number, cookie: 7 };
        let filtered = Notice::Filtered { events: 2 };
        assert_eq!(follower.notices, [gone(8), filtered, gone(11)]);
    }

    #[test]
    fn gap_behind_an_overrun_is_a_loss_for_whoever_has_a_filter_too() {
        let mut follower = follower(7);
        follower.kinds = vec![EventKind::Config];
        follower.overrun = true;
        follower.follow(Event::Config(queue(5, 10)));
        follower.catch_up(queue(6, 12));
        follower.follow(Event::Config(queue(7, 14)));
        let expected = [
            Notice::Lost { events: 2 },
            told(queue(5, 10), &[(0, 5)]),
            Notice::Lost { events: 2 },
            told(queue(6, 12), &[(5, 6)]),
            Notice::Filtered { events: 1 },
            told(queue(7, 14), &[(6, 7)]),
        ];
        assert_eq!(follower.notices, expected);
    }

    #[test]
    fn changes_that_a_filter_keeps_out_are_not_told_behind_an_overrun_either() {
        let mut follower = follower(7);
        follower.kinds = vec![EventKind::Netns];
        follower.overrun = true;
        follower.catch_up(queue(5, 9));
        let lost = Notice::Lost { events: 2 };
        assert_eq!(
            (follower.known, follower.notices),
            (queue(5, 9), [lost].into())
        );
    }

    #[test]
    fn events_that_were_known_already_are_not_told() {
        let mut follower = follower(7);
        for event in [gone(7), gone(6), Event::Config(queue(5, 1)), gone(u32::MAX)] {
            follower.follow(event);
        }
        assert_eq!((follower.notices.len(), follower.known), (0, defaults(7)));
    }

    #[test]
    fn what_was_lost_is_counted_and_its_changes_told() {
        let mut follower = follower(7);
        follower.catch_up(defaults(7));
        assert_eq!(follower.notices, []);
        follower.catch_up(defaults(9));
        follower.catch_up(queue(5, 10));
        follower.follow(gone(11));
        let expected = [
            Notice::Lost { events: 2 },
            Notice::Lost { events: 1 },
            told(queue(5, 10), &[(0, 5)]),
            Notice::NetnsGone {
                number: 11,
                cookie: 7,
            },
        ];
        assert_eq!(follower.notices, expected);
    }
}
