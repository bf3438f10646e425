// SPDX-License-Identifier: GPL-2.0

//! Module parameters, as modules in C have them.
//!
//! The kernel's own `param_ops_*` parse the values and show them in `/sys/module/NAME/parameters/`.
//! So if a parameter is given several times, the last value counts, and a `bool` without a value is
//! true. The kernel sets a parameter before it initializes the module, and nobody can change it
//! later.
//!
//! C header: [`include/linux/moduleparam.h`](srctree/include/linux/moduleparam.h); `parse_args()`
//! in `kernel/params.c`, which `load_module()` calls.
//!
//! # Examples
//!
//! ```
//! mod parameters {
//!     crate::net::module_parameters! {
//!         /// First queue, 0 to 65535 (default 0)
//!         queue: u16 = 0,
//!         /// Let packets pass if their queue has no consumer (default true)
//!         bypass: bool = true,
//!     }
//! }
//!
//! fn load() -> Result {
//!     pr_info!("packets go to queue {}\n", parameters::queue.value());
//!     Ok(())
//! }
//! ```

use core::cell::UnsafeCell;

use kernel::{
    bindings,
    prelude::*, //
};

/// Declares parameters of the module. Each parameter becomes a `static` [`Parameter`], and an entry
/// in the kernel's table of parameters.
///
/// `modinfo` shows the doc comment of a parameter as its description. Declare parameters in
/// a `mod` of their own: a local variable cannot have the name of a `static` in scope.
///
/// A module that declares two parameters with the same name does not compile. Built-in code
/// that declares a parameter does not compile either.
#[allow(unused_macros)] // A module without parameters does not use this macro.
macro_rules! module_parameters {
    ($(
        $(#[doc = $description:literal])+
        $name:ident: $type:ty = $default:expr
    ),* $(,)?) => {
        #[cfg(not(MODULE))]
        ::core::compile_error!("module_parameters! does not support built-in code");

        $(
            $(#[doc = $description])+
            #[allow(non_upper_case_globals)]
            pub(crate) static $name: $crate::net::parameters::Parameter<$type> =
                $crate::net::parameters::Parameter::new($default);

            // Unsafe code is allowed only in this block, which contains only the macro's own code.
            // The default value is code of the caller, so it stands outside, above.
            #[allow(unsafe_code)]
            const _: () = {
                use $crate::net::parameters::{
                    modinfo,
                    modinfo_len,
                    type_of,
                    Entry, //
                };

                // Two declarations of the same name export the same symbol, and so do not compile.
                #[export_name = ::core::concat!("__param_", ::core::stringify!($name))]
                #[link_section = "__param"]
                #[used(compiler)]
                static ENTRY: Entry =
                    Entry::new(::core::concat!(::core::stringify!($name), "\0"), &$name);

                const PARM: [&str; 2] = [
                    ::core::concat!("parm=", ::core::stringify!($name), ":"),
                    ::core::concat!($($description),+),
                ];
                #[link_section = ".modinfo"]
                #[used(compiler)]
                static PARM_INFO: [u8; modinfo_len(PARM)] = modinfo(PARM);

                const PARMTYPE: [&str; 2] = [
                    ::core::concat!("parmtype=", ::core::stringify!($name), ":"),
                    type_of(&$name),
                ];
                #[link_section = ".modinfo"]
                #[used(compiler)]
                static PARMTYPE_INFO: [u8; modinfo_len(PARMTYPE)] = modinfo(PARMTYPE);
            };
        )*
    };
}

pub(crate) use module_parameters;

/// Declares the version of the module, as `MODULE_VERSION()` does in C. `modinfo` and
/// `/sys/module/NAME/version` show it.
#[allow(unused_macros)] // A module without a version does not use this macro.
macro_rules! module_version {
    ($version:literal) => {
        #[allow(unsafe_code)]
        const _: () = {
            use $crate::net::parameters::{
                modinfo,
                modinfo_len, //
            };

            const VERSION: [&str; 2] = ["version=", $version];
            #[link_section = ".modinfo"]
            #[used(compiler)]
            static VERSION_INFO: [u8; modinfo_len(VERSION)] = modinfo(VERSION);
        };
    };
}

pub(crate) use module_version;

/// A type of value that a [`Parameter`] can have.
///
/// # Safety
///
/// `OPS->set()` must write only to the `Self` that the parameter's `arg` points to, and must write
/// only valid values. `OPS->get()` must only read that `Self`.
pub unsafe trait Value: Copy + 'static {
    #[doc(hidden)]
    const OPS: *const bindings::kernel_param_ops;

    /// The name of the type in C.
    #[doc(hidden)]
    const NAME: &'static str;
}

macro_rules! impl_value {
    ($($(#[$attribute:meta])* $type:ty: $ops:ident, $name:literal;)*) => {$(
        $(#[$attribute])*
        // SAFETY: The C type that these operations read and write has the same size, alignment and
        // signedness as this type.
        unsafe impl Value for $type {
            const OPS: *const bindings::kernel_param_ops = &raw const bindings::$ops;
            const NAME: &'static str = $name;
        }
    )*};
}
impl_value! {
    bool: param_ops_bool, "bool";
    u8: param_ops_byte, "byte";
    i16: param_ops_short, "short";
    u16: param_ops_ushort, "ushort";
    i32: param_ops_int, "int";
    u32: param_ops_uint, "uint";
    #[cfg(CONFIG_64BIT)]
    i64: param_ops_long, "long";
    u64: param_ops_ullong, "ullong";
    isize: param_ops_long, "long";
    usize: param_ops_ulong, "ulong";
}

/// A parameter of the module.
///
/// # Invariants
///
/// Nobody writes to the value after the module's code has started to run.
#[repr(transparent)]
pub struct Parameter<T: Value>(UnsafeCell<T>);

// SAFETY: By the type invariants all threads that share the value only read it.
unsafe impl<T: Value> Sync for Parameter<T> {}

impl<T: Value> Parameter<T> {
    #[doc(hidden)]
    pub const fn new(default: T) -> Self {
        // INVARIANT: The kernel writes the value through an `Entry`. `load_module()` writes all
        // values before it calls the module's initialization. Writes through sysfs cannot happen:
        // the entry's mode has no write permission.
        Self(UnsafeCell::new(default))
    }

    /// The value that the user set when the module was loaded, or the default. Context: any.
    pub fn value(&self) -> T {
        // SAFETY: By the type invariants nobody writes to the value.
        unsafe { *self.0.get() }
    }
}

/// The kernel's description of a parameter (`struct kernel_param`). It must be in the section
/// `__param`.
#[doc(hidden)]
#[repr(transparent)]
pub struct Entry(bindings::kernel_param);

// SAFETY: Nobody writes to an entry.
unsafe impl Sync for Entry {}

impl Entry {
    /// Describes a parameter. `name` must end with a NUL character.
    pub const fn new<T: Value>(name: &'static str, parameter: &'static Parameter<T>) -> Self {
        assert!(CStr::from_bytes_with_nul(name.as_bytes()).is_ok());
        Self(bindings::kernel_param {
            name: name.as_ptr(),
            mod_: &raw mut bindings::__this_module,
            ops: T::OPS,
            perm: 0o444,
            level: -1,
            flags: 0,
            __bindgen_anon_1: bindings::kernel_param__bindgen_ty_1 {
                arg: parameter.0.get().cast(),
            },
        })
    }
}

/// The name of a parameter's type in C.
#[doc(hidden)]
pub const fn type_of<T: Value>(_parameter: &Parameter<T>) -> &'static str {
    T::NAME
}

/// The length of the entry that [`modinfo`] returns, in bytes.
#[doc(hidden)]
pub const fn modinfo_len([tag, text]: [&str; 2]) -> usize {
    tag.len() + text.trim_ascii_start().len() + 1
}

/// An entry of the section `.modinfo`: a tag and its text. The text is stored without the space
/// that a doc comment starts with.
#[doc(hidden)]
pub const fn modinfo<const LEN: usize>([tag, text]: [&str; 2]) -> [u8; LEN] {
    let (tag, text) = (tag.as_bytes(), text.trim_ascii_start().as_bytes());
    let mut entry = [0; LEN];
    let mut index = 0;
    while index < LEN - 1 {
        entry[index] = if index < tag.len() {
            tag[index]
        } else {
            text[index - tag.len()]
        };
        // A NUL character would end the entry too early, and start another entry.
        assert!(entry[index] != 0);
        index += 1;
    }
    entry
}

#[cfg(net_kunit)]
#[kunit_tests(rust_net_parameters)]
mod tests {
    use super::*;

    use kernel::{
        error::to_result,
        fmt,
        str::CString, //
    };

    /// Makes three parameters with the value `old`, lets the kernel's function for the type
    /// `T` parse `text` into the second one, and returns the values of all three.
    fn set<T: Value>(text: fmt::Arguments<'_>, old: T) -> Result<[T; 3]> {
        let text = CString::try_from_fmt(text)?;
        let parameters = [old; 3].map(Parameter::new);
        let param = bindings::kernel_param {
            __bindgen_anon_1: bindings::kernel_param__bindgen_ty_1 {
                arg: parameters[1].0.get().cast(),
            },
            ..Default::default()
        };
        // SAFETY: `T::OPS` points to a `static` of the kernel, and nobody changes its field
        // `set`.
        let set = unsafe { (*T::OPS).set }.ok_or(EINVAL)?;
        // SAFETY: `text` and `param` are valid, and nobody else can access the parameters.
        to_result(unsafe { set(text.as_char_ptr(), &param) })?;
        Ok(parameters.map(|parameter| parameter.value()))
    }

    /// Whether the kernel's function for the type `T` accepts `min` and `max` and nothing
    /// beyond them, and does not write to the two neighbouring parameters.
    fn takes<T: Value + PartialEq + fmt::Display>(min: T, max: T) -> bool {
        let within = |end| set(fmt!("{end}"), max).is_ok_and(|values| values == [max, end, max]);
        within(min)
            && within(max)
            && set(fmt!("{max}0"), max).is_err()
            && set(fmt!("-{max}0"), max).is_err()
    }

    #[test]
    fn types_have_the_width_and_sign_of_c() {
        assert!(takes(u8::MIN, u8::MAX));
        assert!(takes(i16::MIN, i16::MAX));
        assert!(takes(u16::MIN, u16::MAX));
        assert!(takes(i32::MIN, i32::MAX));
        assert!(takes(u32::MIN, u32::MAX));
        #[cfg(CONFIG_64BIT)]
        assert!(takes(i64::MIN, i64::MAX));
        assert!(takes(u64::MIN, u64::MAX));
        assert!(takes(isize::MIN, isize::MAX));
        assert!(takes(usize::MIN, usize::MAX));
    }
}
