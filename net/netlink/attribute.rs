// SPDX-License-Identifier: GPL-2.0

//! Attributes of messages: policies for them, and functions to read and write them.
//!
//! An [`Attribute`] is a constant that describes an attribute: its number, the type of its value,
//! and the allowed values. Code reads requests and writes messages by these constants. A [`Policy`]
//! lists the attributes that a request may have.
//!
//! The validation of requests is as strict as the kernel's own validation for new protocols
//! (`NL_VALIDATE_STRICT`). It also refuses two mistakes that the kernel accepts for
//! compatibility: an attribute that is given twice, and a value in network byte order where host
//! byte order is expected.
//!
//! C header: [`include/net/netlink.h`](srctree/include/net/netlink.h)
//!
//! # Examples
//!
//! ```
//! # use net::netlink::{Attribute, Attributes, Policy, Refusal};
//! const COLOR: Attribute<u8> = Attribute::new(1).range(0, 2);
//! const TAG: Attribute<[u8; 4]> = Attribute::new(2).required();
//! static PAINT: Policy = Policy::new(&[COLOR.rule(), TAG.rule()]);
//!
//! fn color(payload: &[u8]) -> Result<Option<u8>, Refusal> {
//!     let attributes = Attributes::parse(payload, &PAINT)?;
//!     Ok(attributes.get(&COLOR))
//! }
//! ```

use core::marker::PhantomData;

use kernel::prelude::*;

use super::refusal::Refusal;

use crate::net::stack::assert_fits;

/// The size of an attribute's header in bytes (`NLA_HDRLEN`).
const HEADER_LEN: usize = 4;
/// The alignment of attributes in bytes (`NLA_ALIGNTO`).
const ALIGNMENT: usize = 4;
/// The flag in an attribute's type for a value that consists of attributes.
const NESTED: u16 = 1 << 15;
/// The flag in an attribute's type for a value in network byte order.
const NET_BYTEORDER: u16 = 1 << 14;
/// The largest depth of nested attributes (`MAX_POLICY_RECURSION_DEPTH`).
const DEPTH_MAX: usize = 10;

/// The allowed values of an attribute.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// An integer of `len` bytes in host byte order, no less than `min` and no more than `max`.
    Integer {
        len: usize,
        signed: bool,
        min: i64,
        max: i64,
    },
    /// An unsigned integer of 8 bytes in host byte order.
    Long,
    /// An unsigned integer of 4 or 8 bytes (`NLA_UINT`).
    Uint,
    /// This number of bytes.
    Bytes(usize),
    /// Attributes.
    Nest(&'static Policy),
}

/// The rule for one attribute of a message.
#[derive(Clone, Copy)]
pub struct Rule {
    pub(super) number: u16,
    pub(super) kind: Kind,
    required: bool,
}

/// The rules for the attributes that a message may have. The `u64` is a bit mask of these rules:
/// a bit is set if a message must have the attribute of the rule. Bit 0 is for the first rule.
pub struct Policy(pub(super) &'static [Rule], u64);

impl Policy {
    /// The policy of messages without attributes.
    pub const NONE: &'static Self = &Self(&[], 0);

    /// Lists attributes, at most 64. A constant or static policy that lists an attribute twice
    /// does not compile.
    pub const fn new(rules: &'static [Rule]) -> Self {
        assert!(rules.len() <= u64::BITS as usize);
        let mut required = 0;
        let mut i = 0;
        while i < rules.len() {
            required |= (rules[i].required as u64) << i; // CAST: 0 or 1.
            let mut j = i + 1;
            while j < rules.len() {
                assert!(
                    rules[i].number != rules[j].number,
                    "two rules for one attribute"
                );
                j += 1;
            }
            i += 1;
        }
        Self(rules, required)
    }

    /// The rule for the attribute with this number, and the place of the rule in the list.
    fn find(&self, number: u16) -> Option<(usize, &'static Rule)> {
        self.0
            .iter()
            .enumerate()
            .find(|(_, rule)| rule.number == number)
    }
}

/// Marks an [`Attribute`] whose value consists of attributes.
#[derive(Clone, Copy)]
pub enum Nest {}

/// An unsigned integer (`NLA_UINT`). In a message it has 4 bytes if its value fits into 4 bytes,
/// and 8 bytes otherwise.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Uint(pub u64);

/// A type of value that an [`Attribute`] can have.
pub trait Value: Copy {
    #[doc(hidden)]
    const KIND: ValueKind;

    /// Reads the value. Returns `None` if no value of this type has this length.
    fn read(bytes: &[u8]) -> Option<Self>;

    /// Passes the value's bytes to `sink`.
    fn write(self, sink: impl FnOnce(&[u8]));
}

/// Wraps a [`Kind`], so that code outside of this file can pass the `Kind` on, but cannot read
/// it.
#[derive(Clone, Copy)]
pub struct ValueKind(Kind);

macro_rules! impl_value_for_integers {
    ($($integer:ty: $signed:literal),*) => {$(
        impl Value for $integer {
            // CAST: Widening.
            const KIND: ValueKind = ValueKind(Kind::Integer {
                len: size_of::<Self>(),
                signed: $signed,
                min: Self::MIN as i64,
                max: Self::MAX as i64,
            });

            fn read(bytes: &[u8]) -> Option<Self> {
                Some(Self::from_ne_bytes(bytes.try_into().ok()?))
            }

            fn write(self, sink: impl FnOnce(&[u8])) {
                sink(&self.to_ne_bytes());
            }
        }
    )*};
}
impl_value_for_integers!(u8: false, u16: false, u32: false, i32: true);

impl Value for u64 {
    const KIND: ValueKind = ValueKind(Kind::Long);

    fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self::from_ne_bytes(bytes.try_into().ok()?))
    }

    fn write(self, sink: impl FnOnce(&[u8])) {
        sink(&self.to_ne_bytes());
    }
}

impl Value for Uint {
    const KIND: ValueKind = ValueKind(Kind::Uint);

    fn read(bytes: &[u8]) -> Option<Self> {
        u32::read(bytes)
            .map(u64::from)
            .or_else(|| u64::read(bytes))
            .map(Self)
    }

    fn write(self, sink: impl FnOnce(&[u8])) {
        match u32::try_from(self.0) {
            Ok(short) => short.write(sink),
            Err(_) => self.0.write(sink),
        }
    }
}

impl<const N: usize> Value for [u8; N] {
    const KIND: ValueKind = {
        assert_fits::<Self>();
        ValueKind(Kind::Bytes(N))
    };

    fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok()
    }

    fn write(self, sink: impl FnOnce(&[u8])) {
        sink(&self);
    }
}

/// The description of an attribute: its number, the type of its value, and the allowed values.
pub struct Attribute<V> {
    rule: Rule,
    _value: PhantomData<fn() -> V>,
}

impl<V> Attribute<V> {
    const fn with_rule(rule: Rule) -> Self {
        Self {
            rule,
            _value: PhantomData,
        }
    }

    /// Makes the attribute required: a message that lacks it is refused.
    pub const fn required(self) -> Self {
        Self::with_rule(Rule {
            required: true,
            ..self.rule
        })
    }

    /// The rule for the attribute, to be listed in a [`Policy`].
    pub const fn rule(&self) -> Rule {
        self.rule
    }
}

impl<V: Value> Attribute<V> {
    /// The attribute with this number. Any value of the type `V` is allowed.
    pub const fn new(number: u32) -> Self {
        // In the type field of an attribute's header, this bit and the next higher bit are
        // flags.
        assert!(number < NET_BYTEORDER as u32);
        Self::with_rule(Rule {
            number: number as u16, // CAST: Just checked.
            kind: V::KIND.0,
            required: false,
        })
    }

    /// Allows only integers from `min` to `max`. Both numbers must be values of the type `V`.
    pub const fn range(self, min: i64, max: i64) -> Self {
        let Kind::Integer {
            len,
            signed,
            min: least,
            max: most,
        } = self.rule.kind
        else {
            panic!("only integers have a range")
        };
        assert!(least <= min && min <= max && max <= most);
        Self::with_rule(Rule {
            kind: Kind::Integer {
                len,
                signed,
                min,
                max,
            },
            ..self.rule
        })
    }
}

impl Attribute<Nest> {
    /// The attribute with this number, whose value consists of attributes.
    pub const fn nest(number: u32, policy: &'static Policy) -> Self {
        assert!(number < NET_BYTEORDER as u32);
        Self::with_rule(Rule {
            number: number as u16, // CAST: Just checked.
            kind: Kind::Nest(policy),
            required: false,
        })
    }
}

impl Rule {
    /// Checks the flags and the value of an attribute that was found in a message. `depth` is
    /// the number of nests that contain the attribute.
    fn check(&self, found: &Found<'_>, depth: usize) -> Result<(), Refusal> {
        let refuse = |error, message| Err(Refusal::new(error, message).at(found.offset));
        if found.flags & NET_BYTEORDER != 0 {
            return refuse(EINVAL, c"Attribute is in network byte order");
        }
        match self.kind {
            Kind::Nest(_) if found.flags & NESTED == 0 => {
                refuse(EINVAL, c"NLA_F_NESTED is missing")
            }
            Kind::Nest(_) if depth == DEPTH_MAX => {
                refuse(EINVAL, c"Attributes are nested too deep")
            }
            Kind::Nest(policy) => check_nested(found.value, found.offset, policy, depth + 1),
            _ if found.flags & NESTED != 0 => refuse(EINVAL, c"Attribute is no nest"),
            Kind::Integer {
                len,
                signed,
                min,
                max,
            } => match integer(found.value, signed) {
                Some(value) if found.value.len() == len => {
                    if (min..=max).contains(&value) {
                        Ok(())
                    } else {
                        refuse(ERANGE, c"Value is out of range")
                    }
                }
                _ => refuse(EINVAL, c"Attribute has the wrong length"),
            },
            Kind::Long if found.value.len() == size_of::<u64>() => Ok(()),
            Kind::Uint if matches!(found.value.len(), 4 | 8) => Ok(()),
            Kind::Bytes(len) if found.value.len() == len => Ok(()),
            Kind::Long | Kind::Uint | Kind::Bytes(_) => {
                refuse(EINVAL, c"Attribute has the wrong length")
            }
        }
    }
}

/// Reads an integer of 1, 2 or 4 bytes.
fn integer(bytes: &[u8], signed: bool) -> Option<i64> {
    match (bytes.len(), signed) {
        (1, _) => u8::read(bytes).map(i64::from),
        (2, _) => u16::read(bytes).map(i64::from),
        (4, false) => u32::read(bytes).map(i64::from),
        (4, true) => i32::read(bytes).map(i64::from),
        _ => None,
    }
}

/// An attribute in a message.
struct Found<'a> {
    number: u16,
    flags: u16,
    value: &'a [u8],
    /// The offset of the attribute's header in the payload of the message.
    offset: usize,
}

impl<'a> Found<'a> {
    /// The attributes nested in this attribute.
    fn nested(&self, policy: &'static Policy) -> Attributes<'a> {
        Attributes::nested_in(self.value, self.offset, policy)
    }
}

/// Checks the attributes in `value`, the value of the attribute at `offset`. This function is
/// not inlined, so that its caller needs fewer registers for attributes that are no nests. Most
/// attributes are no nests.
#[inline(never)]
fn check_nested(
    value: &[u8],
    offset: usize,
    policy: &'static Policy,
    depth: usize,
) -> Result<(), Refusal> {
    Attributes::nested_in(value, offset, policy).validate(depth)
}

/// An iterator over attributes. It ends before the first bytes that are not a whole attribute.
struct Walk<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Iterator for Walk<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        // This reads the header in one access. Otherwise the compiler would read it byte by byte.
        let header = u32::from_ne_bytes(*self.rest.first_chunk::<HEADER_LEN>()?);
        // CAST: Each half of the header has 16 bits. The first half in memory is the length.
        let (low, high) = (header as u16, (header >> u16::BITS) as u16);
        let (len, tagged) = if cfg!(target_endian = "little") {
            (usize::from(low), high)
        } else {
            (usize::from(high), low)
        };
        let value = self.rest.get(HEADER_LEN..len)?;
        let found = Found {
            number: tagged & !(NESTED | NET_BYTEORDER),
            flags: tagged & (NESTED | NET_BYTEORDER),
            value,
            offset: self.offset,
        };
        // The last attribute may lack its padding.
        let padded = len.wrapping_add(ALIGNMENT - 1) & !(ALIGNMENT - 1);
        let padded = padded.min(self.rest.len());
        self.rest = &self.rest[padded..];
        // `wrapping_add()` cannot panic, so the compiler can leave out this line if the caller
        // does not use the offset.
        self.offset = self.offset.wrapping_add(padded);
        Some(found)
    }
}

/// The attributes of a message. They are valid by the rules of a [`Policy`].
pub struct Attributes<'a> {
    bytes: &'a [u8],
    /// The offset of the first attribute in the payload of the message.
    offset: usize,
    /// If these attributes are nested in an attribute, the offset of that attribute.
    within: Option<usize>,
    policy: &'static Policy,
}

impl<'a> Attributes<'a> {
    /// Checks the whole payload of a message.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: an attribute is not in `policy`, has a wrong length, is in network byte
    ///   order, is given twice, or is nested too deep. Or a nest lacks the flag `NLA_F_NESTED`,
    ///   or another attribute has this flag. Or a required attribute is missing. Or the payload
    ///   has bytes that are not an attribute.
    /// - `ERANGE`: an integer is not within its range.
    ///
    /// The refusal points at the wrong attribute. If several attributes are wrong, it points at
    /// the first of them.
    pub fn parse(payload: &'a [u8], policy: &'static Policy) -> Result<Self, Refusal> {
        let attributes = Self::unchecked(payload, policy);
        attributes.validate(0)?;
        Ok(attributes)
    }

    /// The attributes nested in the attribute whose header is at `offset`.
    fn nested_in(value: &'a [u8], offset: usize, policy: &'static Policy) -> Self {
        Self {
            bytes: value,
            offset: offset + HEADER_LEN,
            within: Some(offset),
            policy,
        }
    }

    fn unchecked(payload: &'a [u8], policy: &'static Policy) -> Self {
        Self {
            bytes: payload,
            offset: 0,
            within: None,
            policy,
        }
    }

    /// Checks the attributes as [`parse`](Self::parse) does, and lends them to `serve`. Unlike a
    /// value that is returned, a value that is lent is never copied.
    #[inline(always)]
    pub(super) fn with<R>(
        payload: &'a [u8],
        policy: &'static Policy,
        serve: impl FnOnce(&Self) -> Result<R, Refusal>,
    ) -> Result<R, Refusal> {
        let attributes = Self::unchecked(payload, policy);
        attributes.validate(0)?;
        serve(&attributes)
    }

    fn walk(&self) -> Walk<'a> {
        Walk {
            rest: self.bytes,
            offset: self.offset,
        }
    }

    fn validate(&self, depth: usize) -> Result<(), Refusal> {
        let mut seen = 0u64;
        let mut walk = self.walk();
        for found in &mut walk {
            let refuse = |message| Err(Refusal::new(EINVAL, message).at(found.offset));
            let Some((index, rule)) = self.policy.find(found.number) else {
                return refuse(c"Unknown attribute");
            };
            if seen & (1 << index) != 0 {
                return refuse(c"Attribute is given twice");
            }
            seen |= 1 << index;
            rule.check(&found, depth)?;
        }
        if !walk.rest.is_empty() {
            return Err(Refusal::new(EINVAL, c"Attribute is cut short").at(walk.offset));
        }
        let missing = self.policy.1 & !seen;
        // The rule for the first required attribute that is missing. CAST: The number is at most
        // 64.
        match self.policy.0.get(missing.trailing_zeros() as usize) {
            Some(rule) => Err(Refusal::missing(rule.number, self.within)),
            None => Ok(()),
        }
    }

    fn find<V>(&self, attribute: &Attribute<V>) -> Option<Found<'a>> {
        self.walk()
            .find(|found| found.number == attribute.rule.number)
    }

    /// Whether there are no attributes.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The value of an attribute, if the message has it.
    pub fn get<V: Value>(&self, attribute: &Attribute<V>) -> Option<V> {
        self.find(attribute).and_then(|found| V::read(found.value))
    }

    /// The attributes nested in `attribute`, if the message has `attribute`.
    pub fn nested(&self, attribute: &Attribute<Nest>) -> Option<Attributes<'a>> {
        match attribute.rule.kind {
            Kind::Nest(policy) => self.find(attribute).map(|found| found.nested(policy)),
            _ => None,
        }
    }

    /// Makes a refusal that points at `attribute`. This is for wrong values that no rule can
    /// describe.
    pub fn refuse<V>(
        &self,
        attribute: &Attribute<V>,
        error: Error,
        message: &'static CStr,
    ) -> Refusal {
        let refusal = Refusal::new(error, message);
        match self.find(attribute) {
            Some(found) => refusal.at(found.offset),
            None => refusal,
        }
    }
}

/// The bytes of an attribute's header.
fn header_of(len: u16, tagged: u16) -> [u8; HEADER_LEN] {
    let ([l0, l1], [t0, t1]) = (len.to_ne_bytes(), tagged.to_ne_bytes());
    [l0, l1, t0, t1]
}

/// A buffer into which code writes the attributes of a message. It has room for `N` bytes.
pub struct Payload<const N: usize> {
    bytes: [u8; N],
    len: usize,
    overflown: bool,
}

impl<const N: usize> Default for Payload<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Payload<N> {
    /// Makes a payload without attributes. If `N` is larger than 1,024, this does not compile.
    pub fn new() -> Self {
        const { assert_fits::<[u8; N]>() };
        Self {
            bytes: [0; N],
            len: 0,
            overflown: false,
        }
    }

    /// Appends an attribute.
    pub fn put<V: Value>(&mut self, attribute: &Attribute<V>, value: V) {
        value.write(|bytes| self.attribute(attribute.rule.number, bytes));
    }

    /// Appends an attribute that contains the attributes that `fill` appends.
    pub fn nest(&mut self, attribute: &Attribute<Nest>, fill: impl FnOnce(&mut Self)) {
        let start = self.len;
        self.append(&[0; HEADER_LEN]);
        fill(self);
        self.finish(start, attribute.rule.number | NESTED);
    }

    /// The bytes of all attributes.
    ///
    /// # Errors
    ///
    /// `EMSGSIZE`: the attributes have more than `N` bytes.
    pub fn bytes(&self) -> Result<&[u8]> {
        if self.overflown {
            return Err(EMSGSIZE);
        }
        Ok(&self.bytes[..self.len])
    }

    /// Appends header, value and padding.
    // Most callers pass a value whose length the compiler knows. With inlining, the compiler then
    // computes the lengths and most checks.
    #[inline(always)]
    fn attribute(&mut self, tagged: u16, value: &[u8]) {
        let len = HEADER_LEN.saturating_add(value.len());
        let padded = value.len().next_multiple_of(ALIGNMENT) + HEADER_LEN;
        let room = self
            .bytes
            .get_mut(self.len..)
            .and_then(|rest| rest.get_mut(..padded));
        match (room, u16::try_from(len)) {
            (Some(room), Ok(tagged_len)) if !self.overflown => {
                let (header, rest) = room.split_at_mut(HEADER_LEN);
                header.copy_from_slice(&header_of(tagged_len, tagged));
                let (bytes, padding) = rest.split_at_mut(value.len());
                bytes.copy_from_slice(value);
                padding.fill(0);
                self.len += padded;
            }
            _ => self.overflown = true,
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        match self.bytes.get_mut(self.len..self.len + bytes.len()) {
            Some(room) if !self.overflown => {
                room.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            _ => self.overflown = true,
        }
    }

    /// Completes the nest that began at `start`: writes its header and its padding.
    fn finish(&mut self, start: usize, tagged: u16) {
        // `fill` may have replaced the whole payload by a new, shorter payload, which ends
        // before `start`.
        let written = self.bytes.get_mut(start..self.len).unwrap_or_default();
        let len = written.len();
        let header = written.first_chunk_mut::<HEADER_LEN>();
        match (header, u16::try_from(len)) {
            (Some(header), Ok(len)) => *header = header_of(len, tagged),
            _ => self.overflown = true,
        }
        self.append(&[0; ALIGNMENT][..len.next_multiple_of(ALIGNMENT) - len]);
    }
}

#[cfg(net_kunit)]
#[kunit_tests(rust_net_attribute)]
mod tests {
    use super::*;

    const SMALL: Attribute<u8> = Attribute::new(1).range(1, 31);
    const SIGNED: Attribute<i32> = Attribute::new(2).range(-5, 5);
    const BYTES: Attribute<[u8; 6]> = Attribute::new(3);
    const COUNTER: Attribute<Uint> = Attribute::new(4);
    const INNER: Attribute<Nest> = Attribute::nest(5, &INNER_POLICY);
    const AGAIN: Attribute<Nest> = Attribute::nest(6, &POLICY);
    const PORT: Attribute<u16> = Attribute::new(9).required();
    static INNER_POLICY: Policy = Policy::new(&[PORT.rule(), SMALL.rule()]);
    static POLICY: Policy = Policy::new(&[
        SMALL.rule(),
        SIGNED.rule(),
        BYTES.rule(),
        COUNTER.rule(),
        INNER.rule(),
        // The rule of the attribute `AGAIN`. The constant `AGAIN` refers to this static, so this
        // static cannot use `AGAIN`.
        Attribute::nest(6, &POLICY).rule(),
    ]);

    /// The bytes of an attribute. The test chooses its header, which may be wrong.
    fn raw<const N: usize>(len: u16, tagged: u16, value: [u8; N]) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&len.to_ne_bytes());
        bytes[2..4].copy_from_slice(&tagged.to_ne_bytes());
        bytes[4..4 + N].copy_from_slice(&value);
        bytes
    }

    /// The error with which the payload is refused, and the offset at which the refusal points.
    fn verdict(payload: &[u8]) -> Option<(Error, Option<usize>)> {
        Attributes::parse(payload, &POLICY)
            .err()
            .map(|refusal| (refusal.error(), refusal.offset()))
    }

    #[test]
    fn what_was_put_is_got() -> Result {
        let mut payload = Payload::<128>::new();
        payload.put(&SIGNED, -5);
        payload.put(&BYTES, *b"abcdef");
        payload.nest(&INNER, |inner| inner.put(&PORT, 0x1234));
        payload.put(&COUNTER, Uint(u64::MAX));
        let Ok(attributes) = Attributes::parse(payload.bytes()?, &POLICY) else {
            return Err(EINVAL);
        };
        assert!(attributes.get(&SMALL).is_none());
        assert!(attributes.get(&SIGNED) == Some(-5));
        assert!(attributes.get(&BYTES) == Some(*b"abcdef"));
        assert!(attributes.get(&COUNTER) == Some(Uint(u64::MAX)));
        let inner = attributes.nested(&INNER).ok_or(EINVAL)?;
        assert!(inner.get(&PORT) == Some(0x1234));
        assert!(attributes.nested(&AGAIN).is_none());
        Ok(())
    }

    #[test]
    fn layout_is_that_of_netlink() -> Result {
        let mut payload = Payload::<64>::new();
        payload.put(&SMALL, 7);
        payload.nest(&INNER, |inner| inner.put(&PORT, 0x0101));
        payload.put(&COUNTER, Uint(0));
        let bytes = payload.bytes()?;
        assert_eq!(bytes.len(), 8 + 4 + 8 + 8);
        assert!(bytes[..8] == raw(5, 1, [7])[..8]);
        assert!(bytes[8..12] == raw(12, 5 | NESTED, [])[..4]);
        assert!(bytes[12..20] == raw(6, 9, [1, 1])[..8]);
        assert!(bytes[20..] == raw(8, 4, [0; 4])[..8]);
        Ok(())
    }

    #[test]
    fn nothing_is_a_message_too() {
        assert!(verdict(&[]).is_none());
    }

    #[test]
    fn integers_keep_to_their_range() {
        for (value, fits) in [(0, false), (1, true), (31, true), (32, false), (255, false)] {
            let expected = (!fits).then_some((ERANGE, Some(0)));
            assert!(verdict(&raw(5, 1, [value])[..8]) == expected);
        }
        for (value, fits) in [(-6, false), (-5, true), (5, true), (i32::MIN, false)] {
            let expected = (!fits).then_some((ERANGE, Some(0)));
            assert!(verdict(&raw(8, 2, i32::to_ne_bytes(value))[..8]) == expected);
        }
    }

    #[test]
    fn values_have_the_length_of_their_type() {
        const WRONG: Option<(Error, Option<usize>)> = Some((EINVAL, Some(0)));
        for len in [0, 2, 3, 4, 5, 8] {
            assert!(verdict(&raw(4 + len, 1, [1])[..12]) == WRONG);
        }
        for len in [0, 1, 2, 5, 7, 8] {
            assert!(verdict(&raw(4 + len, 3, [1])[..12]) == WRONG);
        }
        for len in [0, 1, 2, 3, 5, 6, 7] {
            assert!(verdict(&raw(4 + len, 4, [1])[..12]) == WRONG);
        }
    }

    #[test]
    fn lengths_that_lie_are_cut_short() {
        for len in [0, 1, 3, 9, 16, u16::MAX] {
            assert!(verdict(&raw(len, 1, [1])[..8]) == Some((EINVAL, Some(0))));
        }
        // A whole attribute, and after it bytes that are too few for an attribute.
        for rest in 1..4 {
            assert!(verdict(&raw(5, 1, [1])[..8 + rest]) == Some((EINVAL, Some(8))));
        }
        // The last attribute may lack its padding.
        assert!(verdict(&raw(5, 1, [1])[..5]).is_none());
    }

    #[test]
    fn unknown_twice_and_missing_are_refused_where_they_are() {
        assert!(verdict(&raw(4, 7, [])[..4]) == Some((EINVAL, Some(0))));
        let mut twice = [0; 16];
        twice[..8].copy_from_slice(&raw(5, 1, [1])[..8]);
        twice[8..].copy_from_slice(&raw(5, 1, [2])[..8]);
        assert!(verdict(&twice) == Some((EINVAL, Some(8))));
        // A nest that lacks the required attribute `PORT`.
        let Err(missing) = Attributes::parse(&raw(4, 5 | NESTED, [])[..4], &POLICY) else {
            panic!("a required attribute is missing");
        };
        assert!(missing.error() == EINVAL);
    }

    #[test]
    fn nests_are_marked_and_others_are_not() {
        assert!(verdict(&raw(12, 5, [6, 0, 9, 0, 1, 1])[..12]) == Some((EINVAL, Some(0))));
        assert!(verdict(&raw(5, 1 | NESTED, [1])[..8]) == Some((EINVAL, Some(0))));
        assert!(verdict(&raw(5, 1 | NET_BYTEORDER, [1])[..8]) == Some((EINVAL, Some(0))));
        assert!(verdict(&raw(12, 5 | NESTED, [6, 0, 9, 0, 1, 1])[..12]).is_none());
        // The refusal points at the nested attribute that is wrong.
        assert!(verdict(&raw(12, 5 | NESTED, [6, 0, 8, 0, 1, 1])[..12]) == Some((EINVAL, Some(4))));
    }

    #[test]
    fn nesting_has_an_end() -> Result {
        fn dig(payload: &mut Payload<128>, depth: usize) {
            if depth > 0 {
                payload.nest(&AGAIN, |inner| dig(inner, depth - 1));
            }
        }
        for (depth, fits) in [(DEPTH_MAX, true), (DEPTH_MAX + 1, false), (30, false)] {
            let mut payload = Payload::<128>::new();
            dig(&mut payload, depth);
            let expected = (!fits).then_some((EINVAL, Some(DEPTH_MAX * HEADER_LEN)));
            assert!(verdict(payload.bytes()?) == expected);
        }
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let mut payload = Payload::<15>::new();
        payload.put(&SMALL, 1);
        assert!(payload.bytes().is_ok());
        payload.put(&SMALL, 2);
        assert!(payload.bytes() == Err(EMSGSIZE));
        payload.nest(&INNER, |inner| inner.put(&PORT, 1));
        assert!(payload.bytes() == Err(EMSGSIZE));
    }

    #[test]
    fn nest_that_begins_anew_is_an_error() {
        let mut payload = Payload::<64>::new();
        payload.put(&SMALL, 1);
        payload.nest(&INNER, |inner| *inner = Payload::new());
        assert!(payload.bytes().is_err());
    }
}
