// SPDX-License-Identifier: GPL-2.0

//! The parts of the report.

/// A part: rows of one kind.
pub(crate) struct Section {
    /// What rows call it.
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    pub(crate) about: &'static str,
}

/// All of them, in the order of the report.
pub(crate) const SECTIONS: [Section; 10] = [
    Section {
        key: "echo",
        title: "Echo round trips",
        about: "A request sent and its answer received, with the client's system calls, which are most of \
                it. The acknowledgement of nothing (`NLMSG_NOOP` with `NLM_F_ACK`) is the least that \
                netlink answers.",
    },
    Section {
        key: "passing",
        title: "Packets that are not ICMP",
        about: "What a hook adds to the way of a packet from a socket to a socket, over the loopback \
                device, or by way of a router for `forward`. A row of TCP is a write and a response: \
                several packets. Ratios are those of what is added.",
    },
    Section {
        key: "queued",
        title: "ICMP packets",
        about: "Those that a hook hands to the queue: with nobody there to listen, who lets them pass \
                (`bypass`), and with a listener who accepts them. The floor neither counts them nor can be \
                configured.",
    },
    Section {
        key: "families",
        title: "Families of generic netlink",
        about: "A request to the family of `examples/counter` and its answer, with the client's system \
                calls, beside the same in C: as many checks by as many policies. Netlink itself is most of it.",
    },
    Section {
        key: "consumers",
        title: "The queue's consumer",
        about: "CPU time that `nldemo queue run` takes for an accepted packet, of bursts that wait for it, \
                and the time from an echo request to its reply when both wait for a verdict alone. C is a \
                consumer on libnetfilter_queue with one verdict a packet, with one for the packets that \
                wait together (batches), or on system calls alone, as few as there can be (tuned). The crate \
                nfq is another one for Rust, with one verdict a packet. All these look at a packet's id only, \
                and have a process for each queue. A packet is told of as a \
                line of text, one of JSON, or a record of a capture; none is left out. `nldemo` receives up to \
                64 packets by one system call, and sends their verdicts by one, with a message for each packet \
                (one by one) or for all (batches). Where nothing in packets matters, no content is copied to it.",
    },
    Section {
        key: "growth",
        title: "Growth",
        about: "The same work when there is one of something, and when there are many.",
    },
    Section {
        key: "listing",
        title: "Listing sockets",
        about: "What each socket adds to the CPU time of `nldemo diag list` and of `ss -a -n`, the kernel's \
                part included.",
    },
    Section {
        key: "config",
        title: "Configuration under load",
        about: "The hook reads its configuration for every ICMP packet, while another process asks for it \
                without rest; and the other way round. All share one CPU.",
    },
    Section {
        key: "threads",
        title: "Several threads",
        about: "An echo round trip of 64 bytes in each of several threads at once, on two CPUs. The modules \
                take turns. This is time and not instructions, so it depends on the machine and on what else \
                it does. The spread is that of the ratios of single rounds.",
    },
    Section {
        key: "module",
        title: "The modules themselves",
        about: "Times are the guest's, most of which is reading the file and waiting for grace periods. The \
                code of floor and twin does no more than receive, reply and queue; below is what the module's is \
                for.",
    },
];
