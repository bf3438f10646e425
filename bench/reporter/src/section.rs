// SPDX-License-Identifier: GPL-2.0

//! The sections of the report.

/// A section: rows of one kind.
pub(crate) struct Section {
    /// The value of the field `section` in the rows of this section.
    pub(crate) key: &'static str,
    pub(crate) title: &'static str,
    pub(crate) about: &'static str,
}

/// All sections, in the order of the report.
pub(crate) const SECTIONS: [Section; 10] = [
    Section {
        key: "echo",
        title: "Echo round trips",
        about: "A client sends a request and receives its answer. The client's system calls are included, \
                and are most of the cost. No answer of netlink takes less than the acknowledgement of \
                nothing (`NLMSG_NOOP` with `NLM_F_ACK`).",
    },
    Section {
        key: "passing",
        title: "Packets that are not ICMP",
        about: "The cost that a hook adds to a packet's way from one socket to another: over the loopback \
                device, or for `forward` through a router. A row of TCP is a write and a response: several \
                packets. Ratios compare the added costs.",
    },
    Section {
        key: "queued",
        title: "ICMP packets",
        about: "Packets that a hook queues. If nobody listens, the kernel lets them pass (`bypass`); a \
                listener accepts them. The floor neither counts packets nor can be configured.",
    },
    Section {
        key: "families",
        title: "Families of generic netlink",
        about: "A request to the family of `examples/counter` and its answer, with the client's system \
                calls. The family in C has the same policies and makes the same checks. Most of the cost is \
                netlink itself.",
    },
    Section {
        key: "consumers",
        title: "The queue's consumer",
        about: "The CPU time that a consumer takes for an accepted packet, while the packets of a burst wait \
                together; and the time from an echo request to its reply, while each waits for its verdict \
                alone. The consumers in C use libnetfilter_queue with one verdict for each packet (C), the \
                same library with one verdict for all waiting packets (C, batches), or as few system calls as \
                possible without a library (C, tuned). The consumer of the crate nfq sends one verdict for \
                each packet. All these read only a packet's id, and have a process for each queue. \
                `nldemo queue run` receives up to 64 packets with one system call, and sends their verdicts \
                with one: a message for each packet (one by one), or one message for all (batches). The \
                kernel copies no content to it, because accepting needs none. In the last row it writes each \
                packet as a line of text, as a line of JSON, or as a record of a capture, and leaves none \
                out.",
    },
    Section {
        key: "growth",
        title: "Growth",
        about: "The same work with one socket or namespace, and with many.",
    },
    Section {
        key: "listing",
        title: "Listing sockets",
        about: "The CPU time that each socket adds to `nldemo diag list` and to `ss -a -n`, including time \
                in the kernel.",
    },
    Section {
        key: "config",
        title: "Configuration under load",
        about: "The hook reads its configuration for every ICMP packet. Packets are measured while another \
                process asks for the configuration all the time; asking is measured while packets arrive all \
                the time. All share one CPU.",
    },
    Section {
        key: "threads",
        title: "Several threads",
        about: "An echo round trip of 64 bytes in each of several threads at once, on two CPUs. The modules \
                take turns. This is time and not instructions, so it depends on the machine and its load.",
    },
    Section {
        key: "module",
        title: "The modules themselves",
        about: "Times are those of the guest's clock; most of a time is reading the file and waiting for \
                grace periods. The code of floor and twin only receives, replies and queues. The rows \"code \
                for\" show the purposes of the module's code.",
    },
];
