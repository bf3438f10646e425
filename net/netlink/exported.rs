// SPDX-License-Identifier: GPL-2.0

//! Policies as tables that the C side can read.
//!
//! C header: `struct nla_policy` in [`include/net/netlink.h`](srctree/include/net/netlink.h)

use core::ptr::{
    self,
    null, //
};

use kernel::prelude::*;

use super::attribute::{
    Kind,
    Policy,
    Rule, //
};

use crate::net::bindings;

/// Tables of policies for the C side. The index in a table is the number of an attribute, so the
/// highest number determines the size of the table. The C side uses the tables to show the
/// policies to clients. It also checks requests by the tables. This check refuses no request
/// that the policy allows, but a table cannot express all rules of a policy.
pub(super) struct Exported {
    tables: KVec<(&'static Policy, KVec<bindings::nla_policy>)>,
    /// Entries of the tables point to these ranges. Each range has its own box, which does not
    /// move when this vector grows.
    ranges: KVec<KBox<bindings::netlink_range_validation>>,
}

impl Exported {
    pub(super) fn new() -> Self {
        Self {
            tables: KVec::new(),
            ranges: KVec::new(),
        }
    }

    /// The table for a policy, and the highest number in the table. For a policy without
    /// attributes, the pointer is null. The table is valid as long as `self`.
    ///
    /// Context: process, may sleep.
    pub(super) fn export(
        &mut self,
        policy: &'static Policy,
    ) -> Result<(*const bindings::nla_policy, c_uint)> {
        if policy.0.is_empty() {
            return Ok((null(), 0));
        }
        let mut done = self.tables.len();
        let exported = self.table(policy)?;
        // For a nest, `entry()` adds an empty table for the nested policy, and this loop fills the
        // table later. A policy can even be nested in itself, so each policy gets only one table.
        while done < self.tables.len() {
            let (policy, _) = self.tables[done];
            for rule in policy.0 {
                let entry = self.entry(rule)?;
                self.tables[done].1[usize::from(rule.number)] = entry;
            }
            done += 1;
        }
        Ok(exported)
    }

    /// The table for a policy. If the policy is new, this makes a table whose entries are still
    /// empty.
    fn table(&mut self, policy: &'static Policy) -> Result<(*const bindings::nla_policy, c_uint)> {
        let most = policy.0.iter().map(|rule| rule.number).max().unwrap_or(0);
        let found = self
            .tables
            .iter()
            .find(|(known, _)| ptr::eq(*known, policy));
        let table = match found {
            Some((_, table)) => table.as_ptr(),
            None => {
                let mut table = KVec::new();
                table.resize(usize::from(most) + 1, Default::default(), GFP_KERNEL)?;
                let start = table.as_ptr();
                self.tables.push((policy, table), GFP_KERNEL)?;
                start
            }
        };
        Ok((table, most.into()))
    }

    /// The entry of a table for an attribute.
    fn entry(&mut self, rule: &Rule) -> Result<bindings::nla_policy> {
        let mut entry = bindings::nla_policy::default();
        // CAST: The fields for the type and for the kind of validation have 8 bits.
        let mut is = |number: c_uint| entry.type_ = number as u8;
        match rule.kind {
            Kind::Integer {
                len,
                signed,
                min,
                max,
            } => {
                is(match (len, signed) {
                    (1, _) => bindings::NLA_U8,
                    (2, _) => bindings::NLA_U16,
                    (_, false) => bindings::NLA_U32,
                    (_, true) => bindings::NLA_S32,
                });
                let values = 1i64 << (len * 8);
                let least = if signed { -values / 2 } else { 0 };
                if (min, max) != (least, least + values - 1) {
                    // For signed ranges, the C side reads a `netlink_range_validation_signed`,
                    // which has the same layout. CAST: The bits stay the same.
                    let range = bindings::netlink_range_validation {
                        min: min as u64,
                        max: max as u64,
                    };
                    let range = KBox::new(range, GFP_KERNEL)?;
                    entry.validation_type =
                        bindings::nla_policy_validation_NLA_VALIDATE_RANGE_PTR as u8;
                    entry.__bindgen_anon_1.range = &raw const *range;
                    self.ranges.push(range, GFP_KERNEL)?;
                }
            }
            Kind::Long => is(bindings::NLA_U64),
            Kind::Uint => is(bindings::NLA_UINT),
            Kind::Bytes(len) => {
                is(bindings::NLA_BINARY);
                // The entry holds the length as an `i16`. If the length does not fit, the C side
                // does not check it.
                if let Ok(len) = i16::try_from(len) {
                    entry.validation_type =
                        bindings::nla_policy_validation_NLA_VALIDATE_RANGE as u8;
                    entry.__bindgen_anon_1.__bindgen_anon_1 =
                        bindings::nla_policy__bindgen_ty_1__bindgen_ty_1 { min: len, max: len };
                }
            }
            Kind::Nest(policy) => {
                is(bindings::NLA_NESTED);
                let (table, most) = self.table(policy)?;
                entry.len = most as u16; // CAST: The number of an attribute has 16 bits.
                entry.__bindgen_anon_1.nested_policy = table;
            }
        }
        Ok(entry)
    }
}

#[cfg(net_kunit)]
#[kunit_tests(rust_net_exported)]
mod tests {
    use super::*;

    use crate::net::netlink::{
        Attribute,
        Uint, //
    };

    static INNER: Policy = Policy::new(&[Attribute::<u16>::new(9).required().rule()]);
    static POLICY: Policy = Policy::new(&[
        Attribute::<u8>::new(1).range(1, 31).rule(),
        Attribute::<i32>::new(2).range(-5, 5).rule(),
        Attribute::<[u8; 6]>::new(3).rule(),
        Attribute::<Uint>::new(4).rule(),
        Attribute::nest(5, &INNER).rule(),
        Attribute::nest(6, &POLICY).rule(),
        Attribute::<u64>::new(8).rule(),
    ]);

    #[test]
    fn the_c_side_is_told_of_policies() -> Result {
        let mut exported = Exported::new();
        assert!(exported.export(Policy::NONE)? == (null(), 0));
        let (table, most) = exported.export(&POLICY)?;
        assert_eq!(most, 8);
        // The second export of a policy returns the same table.
        assert!(exported.export(&POLICY)? == (table, most));
        assert_eq!(exported.tables.len(), 2);
        let entry = |number: usize| exported.tables[0].1[number];
        let types = [
            bindings::NLA_UNSPEC,
            bindings::NLA_U8,
            bindings::NLA_S32,
            bindings::NLA_BINARY,
            bindings::NLA_UINT,
            bindings::NLA_NESTED,
            bindings::NLA_NESTED,
            bindings::NLA_UNSPEC,
            bindings::NLA_U64,
        ];
        for (number, expected) in types.into_iter().enumerate() {
            assert!(u32::from(entry(number).type_) == expected);
        }
        // SAFETY: The type of an entry tells which field of its union is used.
        let (range, nested, itself) = unsafe {
            (
                &*entry(2).__bindgen_anon_1.range_signed,
                entry(5).__bindgen_anon_1.nested_policy,
                entry(6).__bindgen_anon_1.nested_policy,
            )
        };
        assert!((range.min, range.max) == (-5, 5));
        assert!(nested == exported.tables[1].1.as_ptr() && entry(5).len == 9);
        // Attribute 6 is a nest of `POLICY` itself, so its entry points to the same table.
        assert!(itself == table && entry(6).len == 8);
        Ok(())
    }
}
